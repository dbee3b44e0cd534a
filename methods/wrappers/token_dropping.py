"""Token dropping: tokens that repeat the previous frame never enter the decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from ...framework import CrossFrameMemory, FrameTokens, FullMemory, WrappedMemory, require_one_of
from ..random_priority import hashed_priority
from ..selection import frame_cosine, ranks

RULES = ("cosine", "uniform", "random")


@final
@dataclass(frozen=True)
class TokenDroppingMemory(WrappedMemory):
    """Thin every frame before the decoder; an inner memory decides about the rest.

    Rule: each visual token is compared with the one at its place in the previous whole frame
    (Differential Token Drop of TimeChat-Online, arXiv 2504.17343, feature mode). Dropped are the
    tokens whose cosine is above `threshold` (its absolute mode), or the share `ratio` of the most
    similar (relative). Kept tokens keep their positions and token numbers. Text markers always
    enter, and so does the whole of the first frame and of a frame whose count of visual tokens
    changed; at least one visual token of every frame enters.

    Args:
        inner: what later frames may attend to of the tokens that entered; full by default.
        ratio: share of visual tokens to drop, 0 <= ratio < 1; 0 drops none.
        threshold: drop tokens more similar than this instead, between -1 and 1, which drops none.
            Rows of a batch must then drop equal counts.
        rule: "cosine", or the controls "uniform" (evenly spaced) and "random", which need `ratio`.
        seed: of the "random" rule.

    Raises:
        ValueError: for settings outside these ranges, neither or both of ratio and threshold, or,
            at a push, batch rows that would drop different counts.

    Differences from the released DTD: it may drop all tokens of a frame, here the least similar one
    always stays. It takes cosines in the model's dtype, in bfloat16 with steps of 1/256 below 1,
    and compares them with a threshold rounded alike; here both are float32, or float64 in a model
    of float64. A cosine that rounding puts above 1 is dropped there even at a threshold of 1; here
    it counts as 1.

    Cost per frame: falls with the share dropped.
    Bytes held: the inner memory's and the previous frame; the archive holds only tokens that
    entered.
    """

    inner: CrossFrameMemory = field(default_factory=FullMemory)
    ratio: float | None = None
    threshold: float | None = None
    rule: str = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("TokenDroppingMemory", "rule", self.rule, RULES)
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
        if previous is not None:
            places, before = _visual_places(frame), _visual_places(previous)
            if places is not None and before is not None and places.shape == before.shape:
                frame = frame.take(self._kept(frame, previous, places, before))
        return self.inner.admit(frame, previous, state)

    def _kept(
        self, frame: FrameTokens, previous: FrameTokens, places: Tensor, before: Tensor
    ) -> Tensor:
        """[B, kept] ascending numbers of the tokens that enter."""
        novelty = self._novelty(frame.take(places), previous.take(before))
        count = novelty.shape[1]
        if self.threshold is not None:
            most_novel = functional.one_hot(novelty.argmax(-1), count).bool()
            keep = (novelty >= -self.threshold) | most_novel
        else:
            keep = ranks(novelty) < count - self._dropped(count)
        counts = keep.sum(-1)
        if bool((counts != counts[0]).any()):
            raise ValueError(
                f"TokenDroppingMemory: rows of the batch would keep {counts.tolist()} visual "
                "tokens, but must keep equal counts; use ratio instead of threshold, or batch 1"
            )
        entering = ~frame.visual_mask()
        entering = entering.scatter(1, places, keep)
        return entering.nonzero()[:, 1].view(len(keep), -1)

    def _novelty(self, frame: FrameTokens, previous: FrameTokens) -> Tensor:
        """[B, visual tokens] in rising order of what is worth keeping."""
        if self.rule == "cosine":
            return -frame_cosine(frame.embeds, previous.embeds)
        places = torch.arange(frame.num_tokens, device=frame.embeds.device)
        if self.rule == "uniform":
            return _evenness(places).expand(frame.batch, -1)
        # The frame's own positions make every frame draw anew.
        drawn = hashed_priority(places, self.seed, int(frame.positions.max()))
        return drawn.expand(frame.batch, -1)

    def _dropped(self, count: int) -> int:
        """Visual tokens to drop of `count`; never all."""
        assert self.ratio is not None  # checked on construction
        return min(int(count * self.ratio), count - 1)


def _visual_places(frame: FrameTokens) -> Tensor | None:
    """[B, visual tokens] where a frame's visual tokens stand; None if there are none, or if rows
    differ in their number."""
    mask = frame.visual_mask()
    counts = mask.sum(-1)
    if not bool(counts[0]) or bool((counts != counts[0]).any()):
        return None
    return mask.nonzero()[:, 1].view(len(mask), -1)


def _evenness(places: Tensor) -> Tensor:
    """[tokens] ranks such that keeping the highest n spreads them evenly (bit reversal)."""
    bits = max(1, len(places).bit_length())
    reversed_bits = torch.zeros_like(places)
    for bit in range(bits):
        reversed_bits |= ((places >> bit) & 1) << (bits - 1 - bit)
    return -reversed_bits
