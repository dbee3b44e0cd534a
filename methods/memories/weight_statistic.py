"""Weight statistics: other summaries of a step's attention weights than their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import REDUCTIONS, ScoringMemory, Slots, output_change, require_one_of
from ..selection import widened

STATISTICS = ("sum", *REDUCTIONS)
HEADS = ("group", "group_max", "layer")
ROWS_AT_ONCE = 64  # weights of 64 rows over 4,096 slots are 1 MB per query head


@final
@dataclass(frozen=True)
class WeightStatisticMemory(ScoringMemory):
    """Rank slots by a chosen statistic of the attention weights that the step gives them.

    Rule: every query row of the step and every query head of a GQA group gives a slot one weight.
    "sum" adds them, which is StateKV; "max" takes the largest; "squares" adds their squares, so
    that few queries that look hard count for more than many that look past; "output_change" adds
    weight / (1 - weight) x ||output - value||_2, the length by which a query's output moves if the
    slot alone is left out, which is exact.

    Paper: an ablation of StateKV (arXiv 2605.31598), which asks for sums.

    Args:
        capacity: slots per KV head; None is full attention.
        statistic: "sum", "max", "squares" or "output_change".
        heads: "group", over the query heads that share a KV head; "group_max", the largest of the
            statistics of each of them; "layer", over all heads of the layer, so that all KV heads
            keep the same slots.

    Raises:
        ValueError: for another statistic or other heads.

    Cost per frame: attention over at most capacity + frame tokens, and the weights in the same pass
    as StateKV's mass; "output_change" takes one product of the size of QK^T more, two with
    `attention="sdpa"`. "group_max" computes the step's weights once more, counted with the update.
    Bytes held: `capacity` slots.
    """

    statistic: str = "squares"
    heads: str = "group"
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("statistic", STATISTICS), ("heads", HEADS)):
            require_one_of("WeightStatisticMemory", name, getattr(self, name), known)
        if self.heads != "group_max":
            summed = self.statistic == "sum"
            self.declare(needs_mass=summed, reductions=() if summed else (self.statistic,))

    def score(self, slots: Slots) -> Tensor:
        score = self._per_group(slots)
        if self.heads != "layer":
            return score
        over_heads = score.amax(1) if self.statistic == "max" else score.sum(1)
        return over_heads[:, None].expand_as(score).contiguous()

    def _per_group(self, slots: Slots) -> Tensor:
        """[B, K, S] the statistic of each KV head's group."""
        if self.heads == "group_max":
            return self._per_query_head(slots).amax(2)
        received = slots.mass if self.statistic == "sum" else slots.reduced[self.statistic]
        assert received is not None  # needs_mass asks for it
        return received

    def _per_query_head(self, slots: Slots) -> Tensor:
        """[B, K, G, S] the statistic of each query head."""
        rows = torch.arange(slots.num_new, device=slots.index.device)
        parts = [self._of_rows(slots, some) for some in rows.split(ROWS_AT_ONCE)]
        joined = torch.stack(parts)
        return joined.amax(0) if self.statistic == "max" else joined.sum(0)

    def _of_rows(self, slots: Slots, rows: Tensor) -> Tensor:
        """[B, K, G, S] what some query rows give."""
        weights = slots.weights_of(rows)
        if self.statistic == "max":
            return weights.amax(3)
        if self.statistic == "squares":
            return weights.square().sum(3)
        if self.statistic == "sum":
            return weights.sum(3)
        return output_change(weights, widened(slots.values)[:, :, None]).sum(3)
