"""Adaptive head budgets: heads of a layer share its slots by what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..framework import Slots, WrappedRankingMemory, ranked_first, ranked_last
from .selection import ranks, real_slots


@final
@dataclass(frozen=True)
class AdaptiveHeadBudgets(WrappedRankingMemory):
    """Let the KV heads of a layer hold different numbers of slots, as many as before in all.

    Rule: a layer of K heads and budget C holds C x K slots. Each head first keeps its own best
    floor(`floor` x C); the room left goes to the highest scores over all heads of the layer, ties
    to the newer slot, then to the earlier head. Each row of a batch shares out its own slots.

    Paper: Feng et al., "Ada-KV: Optimizing KV Cache Eviction by Adaptive Budget Allocation for
    Efficient LLM Inference", arXiv 2407.11550.

    Scores of different heads are compared as they are, nothing is normalised. That is right for
    attention mass, alone or smoothed, corrected or weighted by value norms: every query hands out 1
    in every head, so that heads differ in how they concentrate it, not in how much there is. Ranks
    and token numbers compare, but say the same in every head; of cosines and norms each head has a
    scale of its own, and the heads of largest scale win.

    Args:
        inner: a memory that ranks slots, its budget the average over the heads of a layer.
        floor: share of the budget that every head has for itself: 1 gives all heads the same, 0
            may leave a head nothing but its current frame. 0.2 in kvpress.

    Raises:
        ValueError: for a share outside 0..1, or an inner memory that selects by a rule of its own.

    Differences from the released code: heads are really shortened, and stored packed; there each
    head is flattened for a special kernel. Here a step pads heads to the fullest one while it
    passes.

    Cost per frame: attention over the fullest head's slots in every head, at most K times the
    budget; counting slots waits for an accelerator once per layer and step.
    Bytes held: C x K slots a layer as without it, and a bool per place of the fullest head.
    """

    floor: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise ValueError(
                f"AdaptiveHeadBudgets: floor is a share and must lie in [0, 1], got {self.floor!r}"
            )
        if not self.inner.keeps_highest:
            raise ValueError(
                f"AdaptiveHeadBudgets chooses slots itself, but {self.inner!r} does so by a rule "
                "of its own: wrap a memory that keeps the highest scores, and change positions "
                "outside"
            )
        object.__setattr__(self, "graphable", False)

    def select(self, slots: Slots, score: Tensor) -> Slots:
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is None or slots.num_slots <= budget:
            return slots
        score = ranked_last(score, ~real_slots(slots))
        # 0.58 x 50 is 28.999999999999996.
        own = ranks(score) < int(self.floor * budget + 1e-9)
        total = budget * score.shape[1]
        return slots.keep(_highest(ranked_first(score, own), slots.index, total))

    @property
    def keeps_highest(self) -> bool:
        return False


def _highest(score: Tensor, index: Tensor, count: int) -> Tensor:
    """[B, K, S] bool: the `count` highest over all heads of each row; ties to the newer."""
    flat, by_age = score.flatten(1), index.flatten(1).argsort(descending=True, stable=True)
    # Stable, so that of equal scores the newer, which comes first, stays first.
    order = flat.gather(-1, by_age).argsort(dim=-1, descending=True, stable=True)
    chosen = by_age.gather(-1, order[:, :count])
    mask = torch.zeros_like(flat, dtype=torch.bool).scatter(-1, chosen, True)
    return mask.view_as(score)
