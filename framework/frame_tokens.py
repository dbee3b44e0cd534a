"""What enters the decoder in one go: the tokens of one temporal patch, or the prompt before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from .columns import changed, completed, tensors_of


@dataclass(frozen=True)
class Cursor:
    """Where a stream stands; adapters number frames and positions from it.

    `tokens` counts every token seen, dropped ones included; `frames` counts temporal patches;
    `position` is the next free rotary position (equal to `tokens` except under M-RoPE).
    """

    tokens: int = 0
    frames: int = 0
    position: int = 0


def _no_tensors() -> Mapping[str, Tensor]:
    return MappingProxyType({})


@dataclass(frozen=True, eq=False, repr=False)
class FrameTokens:
    """The tokens of one temporal patch with the text markers around them.

    Also used for the prompt text before the video: a first push whose `visual` is all False is
    that prompt and gets frame number -1.

    Attributes:
        embeds: [batch, tokens, hidden], decoder input embeddings.
        positions: [axes, batch, tokens], what the rotary embedding expects; axes is 1, or 3 under
            M-RoPE. Best kept on the CPU: the session reads their maximum.
        visual: [batch, tokens] bool; None means every token is visual.
        extras: further decoder inputs, each [batch, tokens, ...].
        stats: numbers that travel on as `Slots.stats`, each [batch, tokens].
        timestamp: seconds from the start of the video.
        offsets: [batch, tokens] int64, the tokens' numbers inside the whole frame; None means
            0, 1, 2, ... `take` fills it, so that a thinned frame keeps its token numbers.
        next_position: where the stream goes on behind this frame, for models whose positions in
            time run ahead of it; None means behind the largest position.

    Raises:
        ValueError: if shapes disagree.
    """

    embeds: Tensor
    positions: Tensor
    visual: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=_no_tensors)
    stats: Mapping[str, Tensor] = field(default_factory=_no_tensors)
    timestamp: float | None = None
    offsets: Tensor | None = None
    next_position: int | None = None

    def __post_init__(self) -> None:
        if self.embeds.dim() != 3:
            raise ValueError(
                f"embeds must be [batch, tokens, hidden], got shape {tuple(self.embeds.shape)}"
            )
        shape = tuple(self.embeds.shape[:2])
        if self.positions.dim() != 3 or tuple(self.positions.shape[1:]) != shape:
            raise ValueError(
                f"positions must be [axes, batch, tokens] = [axes, {shape[0]}, {shape[1]}], "
                f"got shape {tuple(self.positions.shape)}"
            )
        for name, value in self.tensors():
            further = name.startswith("extras.")
            found = value.shape[:2] if further else value.shape
            if name not in ("embeds", "positions") and found != shape:
                raise ValueError(
                    f"{name} must {'start with' if further else 'be'} [batch, tokens] = "
                    f"{list(shape)}, got shape {tuple(value.shape)}"
                )

    @property
    def batch(self) -> int:
        return self.embeds.shape[0]

    def __repr__(self) -> str:
        at = "" if self.timestamp is None else f" at {self.timestamp:g} s"
        return f"FrameTokens({self.num_tokens} tokens, batch {self.batch}{at})"

    @property
    def num_tokens(self) -> int:
        return self.embeds.shape[1]

    def visual_mask(self) -> Tensor:
        """[batch, tokens] bool, with None spelled out as all True."""
        if self.visual is not None:
            return self.visual
        return torch.ones(self.embeds.shape[:2], dtype=torch.bool, device=self.embeds.device)

    def token_offsets(self) -> Tensor:
        """[batch, tokens] int64 numbers of the tokens inside the whole frame."""
        if self.offsets is not None:
            return self.offsets
        return torch.arange(self.num_tokens).expand(self.batch, -1)

    def take(self, indices: Tensor) -> FrameTokens:
        """The tokens of these numbers in this object, [kept] or [batch, kept] int64, in the order
        given, with their positions and token numbers."""
        rows = indices.expand(self.batch, -1) if indices.dim() == 1 else indices

        def pick(value: Tensor) -> Tensor:
            chosen = rows.to(value.device)
            chosen = chosen.view(*chosen.shape, *[1] * (value.dim() - 2))
            return value.gather(1, chosen.expand(*rows.shape, *value.shape[2:]))

        return replace(self, offsets=self.token_offsets()).map(pick)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor it holds by name, "embeds" or "stats.saliency"."""
        return tensors_of(self)

    def map(self, change: Callable[..., Tensor], *others: FrameTokens) -> FrameTokens:
        """A copy with every tensor changed.

        Args:
            change: takes each as [batch, tokens, ...].
            others: it takes their tensors beside these; they have the same ones.
        """

        def column(name: str, *values: Tensor) -> Tensor:
            if name != "positions":
                return change(*values)
            return change(*(value.movedim(0, -1) for value in values)).movedim(-1, 0).contiguous()

        return replace(self, **changed(column, (self, *others)))


def join_frames(frames: Sequence[FrameTokens]) -> FrameTokens:
    """One `FrameTokens` for a step over several frames; missing extras and stats become 0.

    The result's `offsets` are those of each frame inside itself.
    """
    if len(frames) == 1:
        return frames[0]
    first, *rest = _with_same_tensors(frames)
    joined = first.map(lambda *parts: torch.cat(parts, 1), *rest)
    return replace(joined, next_position=None)


def join_videos(videos: Sequence[FrameTokens]) -> FrameTokens:
    """The rows of all, which show different videos at one place of the stream, as one batch.

    Raises:
        ValueError: for different numbers of tokens, naming them.
    """
    if len(videos) == 1:
        return videos[0]
    sizes = sorted({frame.num_tokens for frame in videos})
    if len(sizes) > 1:
        raise ValueError(
            f"frames of videos side by side became {sizes} tokens: give each a session of its own"
        )
    first, *rest = _with_same_tensors(videos)
    joined = first.map(lambda *parts: torch.cat(parts), *rest)
    # Else a memory would take whole frames for thinned ones.
    whole = all(frame.offsets is None for frame in videos)
    return replace(joined, offsets=None) if whole else joined


def _with_same_tensors(frames: Sequence[FrameTokens]) -> list[FrameTokens]:
    """The frames with everything spelled out that one of them has."""
    shapes = [frame.embeds.shape[:2] for frame in frames]
    extras = completed([frame.extras for frame in frames], shapes)
    stats = completed([frame.stats for frame in frames], shapes)
    return [
        replace(
            frame,
            visual=frame.visual_mask(),
            offsets=frame.token_offsets(),
            extras=extras[number],
            stats=stats[number],
        )
        for number, frame in enumerate(frames)
    ]


def as_frame_tokens(
    frames: object, timestamps: object = None, waiting: int = 0
) -> list[FrameTokens] | None:
    """Pushed `FrameTokens` as a list, or None if something else was pushed. So many raw frames that
    were pushed before still wait for their temporal patch to fill.

    Raises:
        ValueError: if timestamps came with them, or if they would overtake waiting frames.
    """
    parts = frames if isinstance(frames, list | tuple) else [frames]
    tokens = [frame for frame in parts if isinstance(frame, FrameTokens)]
    if not tokens or len(tokens) < len(parts):
        return None
    if timestamps is not None:
        raise ValueError("timestamps go with images; FrameTokens carry their own")
    if waiting:
        raise ValueError(
            f"{waiting} raw frame(s) still wait for their temporal patch to fill, and FrameTokens "
            "would overtake them: push the missing raw frames first"
        )
    return tokens


def is_prompt(cursor: Cursor, frame: FrameTokens) -> bool:
    """Whether the frame is the text before the video: pushed first, and nothing of it visual."""
    return cursor.tokens == 0 and frame.visual is not None and not bool(frame.visual.any())


def advance(cursor: Cursor, frame: FrameTokens) -> Cursor:
    """Where the stream stands after the whole frame, whatever `admit` drops of it."""
    after = frame.next_position
    if after is None:
        after = int(frame.positions.max()) + 1 if frame.num_tokens else cursor.position
    return Cursor(
        tokens=cursor.tokens + frame.num_tokens,
        frames=cursor.frames + (not is_prompt(cursor, frame)),
        position=max(cursor.position, after),
    )
