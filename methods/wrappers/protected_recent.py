"""Protected recent slots: the newest part of the stream is never evicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import ProtectingMemory, Slots
from ..selection import newest


@final
@dataclass(frozen=True)
class ProtectedRecent(ProtectingMemory):
    """Never evict the newest tokens or the newest whole frames.

    Rule: the last `tokens` slots of the stream and all slots of the newest `frames` frames stay in
    every layer and head; they compete like others once newer ones came. The text before the video
    is frame -1 here, as in a sliding window. Around a memory that ranks slots they count inside its
    budget; around any other they come on top of what it keeps.

    Paper: the recent part of H2O, Zhang et al., arXiv 2306.14048, around any memory. StateKV
    reserves nothing (arXiv 2605.31598); half of a budget for heavy hitters and half for the newest
    tokens is H2O's split.

    Args:
        inner: decides about all other slots.
        tokens: the newest ones, wherever frames begin.
        frames: the newest ones, whole. Next to a budget of few frames little is left to choose.

    Raises:
        ValueError: if nothing is protected, if the inner memory merges slots or, on top of a memory
            that does not rank, places them anew; if a budget has no room for what is protected: for
            tokens at construction, for frames at the first push that has too many.

    Cost per frame: the inner memory's; frames are counted once per layer and step, which an
    accelerator waits for. Bytes held: the inner memory's, plus, on top of a memory that does not
    rank, those of the protected slots.
    """

    def chosen(self, slots: Slots) -> Tensor:
        recent = slots.frame > slots.frame[..., -1:] - self.frames
        return newest(slots, self.tokens) | recent

    def most(self, frame_tokens: int) -> int:
        return self.tokens + self.frames * frame_tokens
