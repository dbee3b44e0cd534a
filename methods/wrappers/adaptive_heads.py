"""Adaptive head budgets: heads of a layer share its slots by what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import (
    Slots,
    WrappedRankingMemory,
    is_ranked_first,
    ranked_first,
    ranked_last,
    require_one_of,
)
from ..selection import ranks, real_slots

RULES = ("ada-kv", "kvpress")


@final
@dataclass(frozen=True)
class AdaptiveHeadBudgets(WrappedRankingMemory):
    """Let the KV heads of a layer hold different numbers of slots, no more than before in all.

    Rule: a layer of K heads and budget C has C x K slots. The C x K highest scores over all heads,
    ties to the newer slot, then to the earlier head, say what each head is worth.
    "ada-kv", as released: a head with `count` of them keeps its own best
    round((1 - `floor`) x count + int(`floor` x C)), halves to the even number, or all where it
    holds fewer. Slots that the inner memory protects stay, and it is the C left beside them that a
    layer shares out.
    "kvpress", as in that library: each head first keeps its own best int(`floor` x C), protected
    slots among them; the room left goes to the highest scores over all heads.
    Each row of a batch shares out its own slots.

    Paper: Feng et al., "Ada-KV: Optimizing KV Cache Eviction by Adaptive Budget Allocation for
    Efficient LLM Inference", arXiv 2407.11550.

    Scores of different heads are compared as they are, nothing is normalised. That is right for
    attention mass, alone or smoothed, corrected or weighted by value norms: every query hands out 1
    in every head, so that heads differ in how they concentrate it, not in how much there is. Ranks
    and token numbers compare, but say the same in every head; of cosines and norms each head has a
    scale of its own, and the heads of largest scale win.

    Args:
        inner: a memory that ranks slots, its budget the average over the heads of a layer.
        floor: share of the budget that is the same for all heads: 1 gives all heads the same, 0
            may leave a head nothing but its current frame. 0.2 in kvpress and in the runs of the
            released code with grouped queries, which recommend it.
        rule: "ada-kv" blends what a head is worth with an even share, so that `floor` moves slots
            in every head; in "kvpress" it is a least number, and changes nothing where every head
            is worth more than that.

    Raises:
        ValueError: for a share outside 0..1, another rule, or an inner memory that selects by a
            rule of its own.

    Differences from the released code: rounded head by head, its budgets may sum to K / 2 slots
    more than C x K; here the lowest scores that are too many leave, over all heads. They may sum to
    1.5 x K fewer there and here, as `floor` x C is rounded down. It compresses a prompt once, when
    every head holds more than its budget; here every step does, from the slots that survived, and
    where a layer has no more than C x K nothing is dropped. Its options to leave early layers even
    and to scale scores, off in its runs, are left out. Heads are really shortened, and stored
    packed; there they are flattened for a special kernel, in kvpress they are masked. Here a step
    pads heads to the fullest one while it passes.

    Cost per frame: attention over the fullest head's slots in every head, at most K times the
    budget; counting slots waits for an accelerator once per layer and step.
    Bytes held: at most C x K slots a layer as without it, and a bool per place of the fullest head.
    """

    floor: float = 0.2
    rule: str = "ada-kv"
    graphable = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise ValueError(
                f"AdaptiveHeadBudgets: floor is a share and must lie in [0, 1], got {self.floor!r}"
            )
        require_one_of("AdaptiveHeadBudgets", "rule", self.rule, RULES)
        if not self.inner.keeps_highest:
            raise ValueError(
                f"AdaptiveHeadBudgets chooses slots itself, but {self.inner!r} does so by a rule "
                "of its own: wrap a memory that keeps the highest scores, and change positions "
                "outside"
            )

    def select(self, slots: Slots, score: Tensor) -> Slots:
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is None or slots.num_slots <= budget:
            return slots
        real = real_slots(slots)
        score = ranked_last(score, ~real)
        if self.rule == "kvpress":
            score = ranked_first(score, ranks(score) < int(self.floor * budget))
        room = budget * score.shape[1]
        highest = (_flat_ranks(score, slots.index) < room) & real
        if self.rule == "kvpress":
            return slots.keep(highest)
        own = _blended(highest, is_ranked_first(score) & real, budget, self.floor)
        own = torch.where(real.sum((1, 2)) > room, own.mT, slots.num_slots).mT
        within = (ranks(score) < own[..., None]) & real
        score = ranked_last(score, ~within)
        return slots.keep((_flat_ranks(score, slots.index) < room) & within)


def _flat_ranks(score: Tensor, index: Tensor) -> Tensor:
    """[B, K, S] how many slots of all heads of the row rank above each one; ties to the newer."""
    flat, by_age = score.flatten(1), index.flatten(1).argsort(descending=True, stable=True)
    # Stable, so that of equal scores the newer, which comes first, stays first.
    order = flat.gather(-1, by_age).argsort(dim=-1, descending=True, stable=True)
    return by_age.gather(-1, order).argsort(dim=-1).view_as(score)


def _blended(highest: Tensor, protected: Tensor, budget: int, floor: float) -> Tensor:
    """[B, K] slots of each head: the protected ones, [B, K, S] bool, and of the rest a blend of
    what the head has among the highest, [B, K, S] bool, and of an even share."""
    fixed = protected.sum(-1)
    even = ((budget - fixed).clamp(min=0).double() * floor).trunc()
    worth = (highest.sum(-1) - fixed).double()
    return fixed + (worth * (1 - floor) + even).round().long()
