"""A few frames through a memory, to see what it has once its state is full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from statistics import fmean

from torch import Tensor

from ...framework import CrossFrameMemory, FrameTokens, FullMemory, VideoModel, VideoSession
from ...framework.stream.encoding import encode_frames
from ..streaming.cells import Cell
from .quantities import Quantity

RAGGED_STEPS = 24  # averaged over where heads trade slots and no step is like another
MOST_STEPS = 4096  # more than any state needs to fill; a memory that never settles ends here


class DryRun:
    """Sessions over one stream, as far as each needs it.

    Args:
        model: loaded, set up for the stream.
        stream: the prompt before it, where there is one, and temporal patches without end.
        cell: of which all but the memory is taken; None for one of defaults.
    """

    def __init__(
        self, model: VideoModel, stream: Iterator[FrameTokens], cell: Cell | None = None
    ) -> None:
        self.model, self.cell = model, cell or Cell(FullMemory())
        self._source = stream
        self._encoded: list[FrameTokens] = []
        first = self._tokens(0)
        self.prompt = None if first.visual_mask().any() else first
        self.frame_tokens = self.frame(0).num_tokens

    def frame(self, number: int) -> FrameTokens:
        """The temporal patch of that number, from 0."""
        return self._tokens(number + (self.prompt is not None))

    def session(self, memory: CrossFrameMemory) -> VideoSession:
        """A session that has seen the prompt before the video."""
        session = replace(self.cell, memory=memory).session(self.model)
        if self.prompt is not None:
            session.push(self.prompt)
        return session

    def full(self, memory: CrossFrameMemory, slots: int, quantity: Quantity) -> tuple[float, bool]:
        """What a bounded memory has of a quantity once its state is full, and whether heads hold
        different numbers of slots. It fills at most `slots` in each layer, if it does not promise a
        `limit` itself."""
        session, per_step = self.session(memory), self.cell.frames_per_step
        layers = self.model.spec.num_layers
        limits = [memory.limit(layer, layers, self.frame_tokens) for layer in range(layers)]
        most = max(slots if limit is None else limit for limit in limits)
        steps = self._fill(session, most)
        amounts, ragged = [quantity.measured(session, per_step)], session.slots(0).valid is not None
        for more in range(RAGGED_STEPS if ragged else 0):
            self._push(session, steps + more)
            amounts.append(quantity.measured(session, per_step))
        return fmean(amounts), ragged

    def _fill(self, session: VideoSession, slots: int) -> int:
        """Push until a step began with a full state; how many steps that took."""
        for step in range(MOST_STEPS):
            before = session.costs.totals.tokens
            self._push(session, step)
            if before >= slots + session.costs[-1].tokens:
                return step + 1
        return MOST_STEPS

    def _push(self, session: VideoSession, step: int) -> None:
        per_step = self.cell.frames_per_step
        session.push([self.frame(step * per_step + number) for number in range(per_step)])

    def _tokens(self, number: int) -> FrameTokens:
        while len(self._encoded) <= number:
            self._encoded.append(next(self._source))
        return self._encoded[number]


def shown_again(model: VideoModel, frames: Sequence[tuple[Tensor, float]]) -> Iterator[FrameTokens]:
    """A stream that shows a video's first frames, uint8 [height, width, 3] with their times in
    seconds, or a text's, ids [tokens] with their numbers, again and again; at least one."""
    return (one.tokens for one in encode_frames(model, _repeated(frames)))


def _repeated(frames: Sequence[tuple[Tensor, float]]) -> Iterator[tuple[Tensor, float]]:
    """The frames over and over, their times going on as they began."""
    apart = frames[1][1] - frames[0][1] if len(frames) > 1 else 1.0
    for number in count():
        yield frames[number % len(frames)][0], frames[0][1] + number * max(apart, 1e-3)
