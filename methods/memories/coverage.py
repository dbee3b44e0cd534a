"""Coverage: evict the slots that the remaining ones stand in for best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots
from ..selection import cosine_steps, real_slots, unit_rows

# A loss above all others, of slots that were removed already.
GONE = torch.iinfo(torch.int64).max


@final
@dataclass(frozen=True)
class CoverageMemory(ScoringMemory):
    """Keep slots that cover the others by keys and values, per layer and KV head.

    Rule: sim(j, i) of two slots is the mean of the cosine of their keys and the cosine of their
    values, rounded to 2^-20; a slot covers itself fully, with 1. While more than `capacity` of
    [carried ; frame] remain, remove the one whose removal lowers the facility-location sum over all
    of them, sum_j max_{i kept} sim(j, i), least; of equals the older. Slots evicted in earlier
    steps are no longer covered for. The score is the order of removal: a rank inside one head for
    this capacity, not a number to compare between heads.

    Paper: in the spirit of Mahdizadeh et al., "CoRDS: Coreset-based Representative and Diverse
    Selection for Streaming Video Understanding", arXiv 2605.14310, and built from a summary of it
    alone, so no re-implementation; it does not bear that name. Code of its authors, said to be a
    part of it (github.com/ailarmhz/CoRDS), was not at hand.

    Args:
        capacity: slots per KV head; None is full attention. Small values keep one slot for each
            kind of token and let go of repeated background first.

    Differences from the paper: CoRDS adds slots greedily and rewards new directions (a
    log-determinant term), and protects recent slots; this removes slots greedily, by coverage
    alone, and protects none. Near a full memory that takes one round per token of the frame instead
    of one per slot kept.

    Cost per frame: attention over at most capacity + frame tokens; no attention mass. For S slots
    of which E are evicted, per KV head: S^2 head_dim multiplications and a top-k for the
    similarities, S^2 numbers held for a moment; then E rounds, one after the other, over the E + 1
    nearest of each slot, so E^2 S steps instead of the E S^2 of looking at all. Slow where frames
    are large: for studies, not for live streams.
    Bytes held: `capacity` slots.
    """

    graphable = True

    def score(self, slots: Slots) -> Tensor:
        budget = self.budget(slots.layer, slots.num_layers)
        excess = 0 if budget is None else max(slots.num_slots - budget, 0)
        turn = torch.full_like(slots.index, excess)
        if excess == 0:
            return turn
        held = real_slots(slots)
        similarity, nearest = _nearest(slots, held, excess + 1)
        left = torch.ones_like(nearest, dtype=torch.bool)
        # A loop, because each removal depends on those before. Padding goes first: it covers
        # nothing, so its loss is 0, and of equals the older goes.
        for number in range(excess):
            loss = _loss(similarity, nearest, left).masked_fill(turn < excess, GONE)
            out = loss.argmin(-1, keepdim=True)
            turn = turn.scatter(-1, out, number)
            left = left & (nearest != out[..., None])
        return turn


def _nearest(slots: Slots, held: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """[B, K, S, count] similarities of each slot with those most like it, descending, in steps, and
    which these are.

    With count - 1 removals to come, at least two of these are left before each one, and only the
    first two that are left matter.
    """
    both = torch.cat([unit_rows(slots.keys), unit_rows(slots.values)], -1) * 0.5**0.5
    products = both @ both.mT
    # A matrix product may differ from its transpose in the last bit, and two slots that are each
    # other's nearest, as in every first round, must tie.
    similarity = (products + products.mT) / 2
    similarity.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    similarity = similarity.masked_fill(~(held[..., None] & held[..., None, :]), -1.0)
    found = similarity.topk(min(count, slots.num_slots), dim=-1)
    return cosine_steps(found.values), found.indices


def _loss(similarity: Tensor, nearest: Tensor, left: Tensor) -> Tensor:
    """[B, K, S] what the sum loses with each slot: best minus second-best cover of all slots whose
    best cover it is."""
    best = left.byte().argmax(-1, keepdim=True)
    second = left.scatter(-1, best, False).byte().argmax(-1, keepdim=True)
    gap = (similarity.gather(-1, best) - similarity.gather(-1, second))[..., 0]
    owner = nearest.gather(-1, best)[..., 0]
    return torch.zeros_like(gap).scatter_add(-1, owner, gap)
