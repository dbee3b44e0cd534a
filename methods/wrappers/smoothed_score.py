"""Smoothed score: what a slot scored over all its steps, not in the last one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import Slots, WrappedRankingMemory, nested, require_one_of
from ..selection import widened

RULES = ("sum", "mean", "ema", "peak")


@final
@dataclass(frozen=True)
class SmoothedScore(WrappedRankingMemory):
    """Rank by the history of each slot's score.

    Rule: "sum" adds every step's score to what the slot had before; "mean" divides that sum by the
    number of steps the slot was there for; "ema" is decay x before + (1 - decay) x now; "peak" is
    the larger of now and decay x before, which remembers one hard look and forgets it slowly. A new
    slot's first score starts its history.

    Paper: with `StateKVMemory` inside, "sum" is the accumulation of H2O, Zhang et al., arXiv
    2306.14048, and the one difference between the two; "mean" takes away its preference for what
    has been there long. StateKV (arXiv 2605.31598) ranks by the last step alone.

    Args:
        inner: scores each step.
        rule: "sum", "mean", "ema" or "peak". Sums never fall, so that "sum" favours old slots.
        decay: of "ema" and "peak", the weight of the past, 0 <= decay < 1; 0 ranks by the last
            step, 0.9 remembers about ten steps.

    Raises:
        ValueError: for an unknown rule, a decay outside its range, or a smoothed score inside.

    "peak" takes scores that are not negative, such as mass: below 0, decay would raise them.
    Scores must be finite; what the inner memory protects (the newest slots of SnapKV and H2O) stays
    protected and out of the history. Steps count as they score: mass grows with the tokens of a
    step, so that steps of many tokens weigh more.

    Cost per frame: the inner memory's. Bytes held: its own and per slot the smoothed score, and for
    "mean" and "ema" a count of steps.
    """

    rule: str
    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("SmoothedScore", "rule", self.rule, RULES)
        if not 0 <= self.decay < 1:
            raise ValueError(f"SmoothedScore: decay must lie in [0, 1), got {self.decay!r}")
        if any(isinstance(memory, SmoothedScore) for memory in nested(self.inner)):
            raise ValueError("SmoothedScore: the score inside is smoothed already; smooth it once")

    def score(self, slots: Slots) -> Tensor:
        score = self.inner.score(slots)
        # Token numbers need float64.
        now = widened(score) if score.is_floating_point() else score.double()
        before = slots.stats.get("smoothed_score", torch.zeros_like(now))
        if self.rule == "sum":
            slots.stats["smoothed_score"] = before + now
        elif self.rule == "peak":
            slots.stats["smoothed_score"] = torch.maximum(now, self.decay * before)
        else:
            none = torch.zeros_like(now, dtype=torch.int32)
            steps = slots.stats.get("smoothed_steps", none) + 1
            slots.stats["smoothed_steps"] = steps
            slots.stats["smoothed_score"] = before + self._weight(steps, now) * (now - before)
        return slots.stats["smoothed_score"]

    def _weight(self, steps: Tensor, like: Tensor) -> Tensor:
        """[B, K, S] what the newest of so many steps counts in the average."""
        if self.rule == "mean":
            return 1 / steps.to(like.dtype)
        return torch.full_like(like, 1 - self.decay).masked_fill(steps == 1, 1)
