"""How the session of a command begins: anew, or where a file left it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from ...framework import Archive, CrossFrameMemory, Reader, VideoModel, VideoSession
from ..streaming.options import StreamOptions
from ..streaming.rule_text import MemoryDefaults, archive_from, memory_from, reader_from
from .arguments import options_from

# Settings that a session keeps for good.
KEPT = ("frames_per_step", "max_tokens", "attention")


@dataclass(frozen=True)
class Opening:
    """How a session begins.

    Args:
        stream: its options.
        memory, reader, archive: None as saved, or where nothing is loaded as a session takes them.
        system: the system turn, None for the model's own.
        load: the file of a saved session, None to begin anew.
    """

    stream: StreamOptions
    memory: CrossFrameMemory | None = None
    reader: Reader | None = None
    archive: Archive | None = None
    system: str | None = None
    load: str | None = None

    def session(self, model: VideoModel) -> VideoSession:
        """The session on a model that is set up for the stream.

        Raises:
            ValueError: for a file that is no session of this model, or settings it was not saved
                with.
        """
        if self.load is None:
            assert self.memory is not None  # as `opening_from` makes it
            return self.stream.session(model, self.memory, self.archive, self.reader)
        given = (self.memory, self.reader, self.archive)
        session = VideoSession.load(self.load, model, *given)
        _require_as_saved(self.load, session, self.stream)
        return session


def opening_from(values: Mapping[str, Any]) -> Opening:
    """The beginning that a command's values ask for.

    Raises:
        ValueError: for a memory, reader or archive that cannot be, a file to load that is not there
            and options that do not go with it.
    """
    load, memory = values["load"], values["memory"]
    if load is not None and not Path(load).is_file():
        raise ValueError(f"--load {load}: no such file; give what --save wrote")
    if load is not None and values["system"] is not None:
        raise ValueError(
            f"--system {values['system']!r}: the system turn of {load} has passed; leave it out, "
            "or begin anew without --load"
        )
    if load is None and memory is None:
        memory = "statekv"
    defaults = options_from(MemoryDefaults, values)
    reader, archive = values["reader"], values["archive"]
    return Opening(
        options_from(StreamOptions, values),
        memory if memory is None else memory_from(memory, defaults),
        reader if reader is None else reader_from(reader),
        archive if archive is None else archive_from(archive),
        values["system"],
        load,
    )


def going_on(
    frames: Iterable[tuple[Tensor, float]], session: VideoSession, period: float
) -> Iterator[tuple[Tensor, float, float]]:
    """Frames with their own time and their time in the stream: a further video begins one period
    after the last frame of the stream, unless its times go on from there themselves."""
    latest, shift = session.state.latest, None
    for image, time in frames:
        if shift is None:
            shift = 0.0 if latest is None or time > latest else latest + period - time
        yield image, time, time + shift


def _require_as_saved(path: str, session: VideoSession, stream: StreamOptions) -> None:
    defaults = {field.name: field.default for field in fields(StreamOptions)}
    for name in KEPT:
        given, saved = getattr(stream, name), getattr(session, name)
        if given not in (defaults[name], saved):
            raise ValueError(
                f"--{name.replace('_', '-')} {given}: {path} was saved with {saved}, which a "
                "session keeps; leave the option out"
            )
