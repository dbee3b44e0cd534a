"""Token dropping: tokens that repeat the previous frame never enter the decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from ..framework import CrossFrameMemory, FrameTokens, FullMemory, WrappedMemory
from .selection import frame_cosine, hashed_priority

RULES = ("cosine", "uniform", "random")


@final
@dataclass(frozen=True)
class TokenDroppingMemory(WrappedMemory):
    """Thin every frame before the decoder; an inner memory decides about the rest.

    Rule: each visual token is compared with the token at its place in the previous whole frame
    (Differential Token Drop of TimeChat-Online, arXiv 2504.17343, feature mode). Kept are the
    tokens whose cosine is below `threshold`, or the least similar so that a share `ratio` is
    dropped. Kept tokens keep their positions and token numbers. The first frame, text markers, and
    frames whose token count changed enter whole; at least one visual token of a frame enters.

    Args:
        inner: what later frames may attend to of the tokens that entered; full by default.
        ratio: share of visual tokens to drop, 0 <= ratio < 1; 0 drops none.
        threshold: drop tokens at least this similar instead, between -1 and 1. Rows of a batch
            must then drop equal counts.
        rule: "cosine", or the controls "uniform" (evenly spaced) and "random", which need `ratio`.
        seed: of the "random" rule.

    Raises:
        ValueError: for settings outside these ranges, neither or both of ratio and threshold, or,
            at a push, batch rows that would drop different counts.

    Differences from DTD: its relative mode drops over a whole video, this one per frame.
    Cost per frame falls with the share dropped; the archive holds only tokens that entered.
    """

    inner: CrossFrameMemory = field(default_factory=FullMemory)
    ratio: float | None = None
    threshold: float | None = None
    rule: str = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in RULES:
            raise ValueError(f"TokenDroppingMemory: rule must be one of {RULES}, got {self.rule!r}")
        if (self.ratio is None) == (self.threshold is None):
            raise ValueError(
                "TokenDroppingMemory: give either ratio or threshold, got "
                f"ratio={self.ratio}, threshold={self.threshold}"
            )
        if self.ratio is not None and not 0 <= self.ratio < 1:
            raise ValueError(
                f"TokenDroppingMemory: ratio must lie in [0, 1), got {self.ratio}; dropping all "
                "tokens of a frame is not allowed"
            )
        if self.threshold is not None and (self.rule != "cosine" or not -1 <= self.threshold <= 1):
            raise ValueError(
                "TokenDroppingMemory: threshold is a cosine in [-1, 1] and needs rule='cosine', "
                f"got threshold={self.threshold}, rule={self.rule!r}"
            )

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        if previous is not None and previous.embeds.shape == frame.embeds.shape:
            frame = frame.take(self._kept(frame, previous))
        return self.inner.admit(frame, previous, state)

    def _kept(self, frame: FrameTokens, previous: FrameTokens) -> Tensor:
        """[B, kept] ascending numbers of the tokens that enter."""
        visual = frame.visual_mask()
        novelty = self._novelty(frame, previous).masked_fill(~visual, float("inf"))
        if self.threshold is not None:
            keep = (novelty > 1 - self.threshold) | _most_novel(novelty, visual)
        else:
            keep = _by_rank(novelty, self._dropped(visual))
        counts = keep.sum(-1)
        if bool((counts != counts[0]).any()):
            raise ValueError(
                f"TokenDroppingMemory: rows of the batch would keep {counts.tolist()} tokens, but "
                "must keep equal counts; use ratio instead of threshold, or batch 1"
            )
        return keep.nonzero()[:, 1].view(len(keep), -1)

    def _novelty(self, frame: FrameTokens, previous: FrameTokens) -> Tensor:
        """[B, tokens] in rising order of what is worth keeping."""
        if self.rule == "cosine":
            return 1 - frame_cosine(frame.embeds, previous.embeds)
        index = torch.arange(frame.num_tokens, device=frame.embeds.device)
        if self.rule == "uniform":
            return _evenness(frame.visual_mask()).double()
        start = int(frame.positions.max())
        return hashed_priority(index, self.seed, start).expand(frame.batch, -1)

    def _dropped(self, visual: Tensor) -> Tensor:
        """[B] visual tokens to drop; never all."""
        assert self.ratio is not None  # checked on construction
        count = visual.sum(-1)
        return torch.minimum((count * self.ratio).floor().long(), (count - 1).clamp(min=0))


def _by_rank(novelty: Tensor, dropped: Tensor) -> Tensor:
    """[B, tokens] mask without the `dropped` [B] least novel; of equal ones the later stays."""
    rank = novelty.argsort(dim=-1, stable=True).argsort(dim=-1)
    return rank >= dropped[:, None]


def _most_novel(novelty: Tensor, visual: Tensor) -> Tensor:
    """[B, tokens] mask of the single most novel visual token of each row, if it has any."""
    best = novelty.masked_fill(~visual, float("-inf")).argmax(-1, keepdim=True)
    return torch.zeros_like(visual).scatter(-1, best, True) & visual


def _evenness(visual: Tensor) -> Tensor:
    """[B, tokens] ranks such that keeping the highest n spreads them evenly (bit reversal)."""
    number = visual.cumsum(-1) - 1
    bits = max(1, int(visual.sum(-1).max()).bit_length())
    reversed_bits = torch.zeros_like(number)
    for bit in range(bits):
        reversed_bits |= ((number >> bit) & 1) << (bits - 1 - bit)
    return -reversed_bits
