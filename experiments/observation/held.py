"""Which tokens a memory still holds, noted after every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...framework import (
    CrossFrameMemory,
    FrameTokens,
    NoArchive,
    VideoModel,
    VideoSession,
    WrappedMemory,
)
from ...methods import ReadCarried
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
        """[rows, columns] share of (layer, KV head) that hold each token after a step.

        Args:
            layer: one layer alone; None is the mean over all.
        """
        last = self.last if layer is None else self.last[layer : layer + 1]
        return (last >= step).double().mean((0, 1)).view(self.rows, self.columns)

    @property
    def entered(self) -> Tensor:
        """[rows, columns] bool: the tokens that passed the decoder."""
        return (self.last[0, 0] != NEVER_ENTERED).view(self.rows, self.columns)


@dataclass(frozen=True)
class WatchedAdmission(WrappedMemory):
    """A memory that tells somebody which tokens of a frame it lets into the decoder.

    Args:
        tell: called with the frame as it enters.
    """

    tell: Callable[[FrameTokens], None]

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        entering = self.inner.admit(frame, previous, state)
        self.tell(entering)
        return entering


class HeldTokens:
    """Follows a memory through a video; nothing is archived.

    Args:
        max_tokens: planned length of the stream.

    Attributes:
        session: read it, but push through `push` alone.
        steps: video steps so far; step 0 is the one of the first frame.
    """

    def __init__(
        self, model: VideoModel, memory: CrossFrameMemory, max_tokens: int | None = None
    ) -> None:
        # A list, not a method of this object: a cycle would hold the session until it is collected.
        self._entered: list[Tensor] = []
        entered = self._entered
        watched = WatchedAdmission(memory, lambda f: entered.append(f.token_offsets()[0].cpu()))
        self.session = VideoSession(
            model,
            watched,
            archive=NoArchive(),
            reader=ReadCarried(),
            max_tokens=max_tokens,
        )
        self.steps = 0
        spec = model.spec
        self._last = torch.empty(spec.num_layers, spec.num_kv_heads, 0, dtype=torch.int16)
        self._visual: list[Tensor] = []

    def push(self, frame: FrameTokens) -> None:
        """One temporal patch, or the prompt before the video, as a step of its own."""
        start, visual = self.session.cursor.tokens, frame.visual_mask()[0].cpu()
        self.session.push(frame)
        room = torch.full((*self._last.shape[:2], len(visual)), NEVER_ENTERED, dtype=torch.int16)
        entered = self._entered.pop() if self._entered else slice(None)  # all of the prompt
        room[..., entered] = NEVER_HELD
        self._last = torch.cat([self._last, room], -1)
        if bool(visual.any()):
            self._visual.append(start + visual.nonzero()[:, 0])
            self._note()
            self.steps += 1

    def frames(self, pictures: Sequence[Picture]) -> list[FramePatches]:
        """What became of every frame's tokens.

        Args:
            pictures: one per temporal patch.
        """
        grid = self.session.model.patch_grid
        return [
            FramePatches(picture, *(picture.grid or grid(*picture.size)), self._last[..., tokens])
            for picture, tokens in zip(pictures, self._visual, strict=True)
        ]

    def _note(self) -> None:
        for layer, last in enumerate(self._last):
            slots = self.session.slots(layer)
            for head, index in enumerate(slots.index[0]):
                held = index if slots.valid is None else index[slots.valid[0, head]]
                last[head, held.cpu()] = self.steps
