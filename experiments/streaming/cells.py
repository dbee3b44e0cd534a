"""One cell of an experiment: what is written, what is read, how the stream is cut."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...framework import Archive, CrossFrameMemory, Reader, VideoModel, VideoSession
from ...framework.attention.attend import choose


@dataclass(frozen=True)
class Cell:
    """One way to run a session.

    Args:
        memory: what later frames may attend to.
        reader: what a question reads; null for the whole archive.
        archive: how the KV of all frames is kept; null for as it is.
        frames_per_step: temporal patches that pass the decoder together.
        in_frame: "causal" or "bidirectional" attention inside a frame.
        attention: "auto", "plain", "chunked", "sdpa" or "flex".

    Raises:
        ValueError: for a backend of attention that there is not.
    """

    memory: CrossFrameMemory
    reader: Reader | None = None
    archive: Archive | None = None
    frames_per_step: int = 1
    in_frame: str = "causal"
    attention: str = "auto"

    def __post_init__(self) -> None:
        choose(self.attention, self.memory.needs_mass, self.memory.reductions)

    def session(self, model: VideoModel, max_tokens: int | None = None) -> VideoSession:
        """A new session of this cell, which keeps the costs of every step.

        Raises:
            ValueError: for settings that cannot work together.
        """
        if self.reader is not None:
            require_readable(model, self.memory, self.reader)
        return VideoSession(
            model,
            self.memory,
            archive=self.archive,
            reader=self.reader,
            in_frame=self.in_frame,
            frames_per_step=self.frames_per_step,
            max_tokens=max_tokens,
            attention=self.attention,
            cost_history=None,
        )


def require_cell(owner: str, reference: str | None, cells: Collection[str]) -> None:
    """Refuse a reference that is none of the cells; None is none on purpose."""
    if reference is not None and reference not in cells:
        raise ValueError(
            f"{owner}: reference {reference!r} is no cell; cells are {', '.join(cells)}"
        )


def require_readable(model: VideoModel, memory: CrossFrameMemory, reader: Reader) -> None:
    """Refuse a reader of carried slots alone where none is ever carried, before frames pass; the
    ValueError names both."""
    if not is_readable(memory, reader, model.spec.num_layers):
        raise ValueError(
            f"{memory!r} carries nothing, so {reader!r} has nothing to read: leave this pair out, "
            "or take a reader that reads the archive, such as ReadAll"
        )


def is_readable(memory: CrossFrameMemory, reader: Reader, layers: int) -> bool:
    """Whether a reader finds anything behind a memory, in a model of so many layers."""
    carries = any(memory.limit(layer, layers, 1) != 0 for layer in range(layers))
    return carries or reader.needs_archive


def is_kept(archive: Archive | None, reader: Reader) -> bool:
    """Whether an archive keeps what a reader needs; None keeps all."""
    return archive is None or archive.keeps or not reader.needs_archive
