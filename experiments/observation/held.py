"""Which tokens a memory still holds, noted after every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...framework import FrameTokens, Slots, WrappedMemory
from ...framework.flops import DecoderSpec
from .pictures import Picture

NEVER_ENTERED = -2  # left out by the memory's `admit`
NEVER_HELD = -1


@dataclass(frozen=True, eq=False)
class FramePatches:
    """The visual tokens of one temporal patch and where they lie in its picture.

    Attributes:
        picture: of its first frame.
        rows, columns: of its visual tokens.
        last: int16 [layers, kv_heads, rows * columns]: the last step after which the token was
            held, `NEVER_HELD`, or `NEVER_ENTERED` if it did not enter the decoder. A memory cannot
            take an evicted token back, so this is all there is to know.
    """

    picture: Picture
    rows: int
    columns: int
    last: Tensor

    def share(self, step: int, layer: int | None = None) -> Tensor:
        """[rows, columns] share of (layer, KV head), of one layer or None for all, that hold each
        token after a step."""
        last = self.last if layer is None else self.last[layer : layer + 1]
        return (last >= step).double().mean((0, 1)).view(self.rows, self.columns)

    @property
    def entered(self) -> Tensor:
        """[rows, columns] bool: the tokens that passed the decoder."""
        return (self.last[0, 0] != NEVER_ENTERED).view(self.rows, self.columns)


def shares_over_time(frames: Sequence[FramePatches]) -> np.ndarray:
    """[frames, steps] share of each frame's visual tokens held, mean over layers and KV heads."""
    steps = torch.arange(len(frames))[:, None]
    shares = [(frame.last.flatten()[None] >= steps).double().mean(1) for frame in frames]
    return torch.stack(shares).numpy()


class HeldTokens:
    """What a memory holds of the tokens of every frame, by video step; step 0 is the one of the
    first frame, `steps` how many there were."""

    def __init__(self, spec: DecoderSpec) -> None:
        self.steps = 0
        self._last = torch.empty(spec.num_layers, spec.num_kv_heads, 0, dtype=torch.int16)
        self._visual: list[Tensor] = []

    def enter(self, frame: FrameTokens, entering: FrameTokens) -> None:
        """A temporal patch came, and this of it enters the decoder."""
        start = self._last.shape[-1]
        self._visual.append(start + frame.visual_mask()[0].cpu().nonzero()[:, 0])
        self._grow(frame.num_tokens, NEVER_ENTERED)
        self._last[..., start + entering.token_offsets()[0].cpu()] = NEVER_HELD

    def note(self, layers: Sequence[Slots], entered: int) -> None:
        """These slots are held after a step of so many tokens."""
        if not self._visual:  # the prompt before the video, which enters unasked
            self._grow(entered, NEVER_HELD)
            return
        for last, slots in zip(self._last, layers, strict=True):
            for head, index in enumerate(slots.index[0]):
                held = index if slots.valid is None else index[slots.valid[0, head]]
                last[head, held.cpu()] = self.steps
        self.steps += 1

    def frames(
        self, pictures: Sequence[Picture], grid: Callable[[int, int], tuple[int, int]]
    ) -> list[FramePatches]:
        """What became of every frame's tokens.

        Args:
            pictures: one per temporal patch.
            grid: rows and columns of the visual tokens of a frame, by its height and width.
        """
        return [
            FramePatches(picture, *(picture.grid or grid(*picture.size)), self._last[..., tokens])
            for picture, tokens in zip(pictures, self._visual, strict=True)
        ]

    def _grow(self, tokens: int, value: int) -> None:
        room = torch.full((*self._last.shape[:2], tokens), value, dtype=torch.int16)
        self._last = torch.cat([self._last, room], -1)


@dataclass(frozen=True)
class FollowedMemory(WrappedMemory):
    """A memory of which `held` notes what enters the decoder and what is held after every step."""

    held: HeldTokens

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        entering = self.inner.admit(frame, previous, state)
        self.held.enter(frame, entering)
        return entering

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        kept = self.inner.update_layers(layers)
        self.held.note(kept, layers[0].num_new)
        return kept
