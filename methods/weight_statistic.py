"""Weight statistics: other summaries of a step's attention weights than their sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..framework import ScoringMemory, Slots
from .selection import widened

STATISTICS = ("sum", "max", "squares", "output")
HEADS = ("group", "group_max", "layer")
ONE_PASS = {"sum": ((), True), "max": (("max",), False), "squares": (("squares",), False)}
ROWS_AT_ONCE = 64  # weights of 64 rows over 4,096 slots are 1 MB per query head


@final
@dataclass(frozen=True)
class WeightStatisticMemory(ScoringMemory):
    """Rank slots by a chosen statistic of the attention weights that the step gives them.

    Rule: every query row of the step and every query head of a GQA group gives a slot one weight.
    "sum" adds them, which is StateKV; "max" takes the largest; "squares" adds their squares, so
    that few queries that look hard count for more than many that look past; "output" adds
    weight / (1 - weight) x ||output - value||_2, the length by which each query's output would
    change without the slot.

    Paper: an ablation of StateKV (arXiv 2605.31598), which asks for sums. "output" is the exact
    leave-one-out change of eq. (1) of attention, softmax renormalised over the slots that stay.

    Args:
        capacity: slots per KV head; None is full attention.
        statistic: "sum", "max", "squares" or "output".
        heads: "group", over the query heads that share a KV head; "group_max", the largest of the
            statistics of each of them; "layer", over all heads of the layer, so that all KV heads
            keep the same slots.

    Raises:
        ValueError: for another statistic or other heads.

    Cost per frame: attention over at most capacity + frame tokens, and the weights in the same pass
    as StateKV's mass. "output" and "group_max" compute the step's weights once more instead,
    counted with the update; "output" also its outputs. Bytes held: `capacity` slots.
    """

    statistic: str = "squares"
    heads: str = "group"
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("statistic", STATISTICS), ("heads", HEADS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"WeightStatisticMemory: {name} must be one of {known}, got "
                    f"{getattr(self, name)!r}"
                )
        reductions, mass = ONE_PASS.get(self.statistic, ((), False))
        if self.heads != "group_max":
            object.__setattr__(self, "reductions", reductions)
            object.__setattr__(self, "needs_mass", mass)

    def score(self, slots: Slots) -> Tensor:
        score = self._per_group(slots)
        if self.heads != "layer":
            return score
        over_heads = score.amax(1) if self.statistic == "max" else score.sum(1)
        return over_heads[:, None].expand_as(score).contiguous()

    def _per_group(self, slots: Slots) -> Tensor:
        """[B, K, S] the statistic of each KV head's group."""
        if self.looks_at_weights:
            received = slots.mass if self.statistic == "sum" else slots.reduced[self.statistic]
            assert received is not None  # needs_mass asks for it
            return received
        per_head = self._per_query_head(slots)
        return per_head.amax(2) if self.heads == "group_max" else per_head.sum(2)

    def _per_query_head(self, slots: Slots) -> Tensor:
        """[B, K, G, S] the statistic of each query head."""
        total: Tensor | None = None
        for rows in _in_turn(slots):
            weights = slots.weights_of(rows)
            if self.statistic == "max":
                part = weights.amax(3)
                total = part if total is None else torch.maximum(total, part)
            else:
                part = self._terms(weights, slots.values).sum(3)
                total = part if total is None else total + part
        assert total is not None  # a step has rows
        return total

    def _terms(self, weights: Tensor, values: Tensor) -> Tensor:
        """[B, K, G, n, S] what each weight adds."""
        if self.statistic == "output":
            return _output_change(weights, widened(values)[:, :, None])
        return weights.square() if self.statistic == "squares" else weights


def _output_change(weights: Tensor, values: Tensor) -> Tensor:
    """[B, K, G, n, S] how far each output moves without a slot.

    Without slot j the output o becomes (o - w v) / (1 - w), which differs from o by
    w (o - v) / (1 - w).

    Args:
        weights: [B, K, G, n, S].
        values: [B, K, 1, S, D].
    """
    outputs = weights @ values
    squared = values.square().sum(-1)[..., None, :] + outputs.square().sum(-1, keepdim=True)
    apart = (squared - 2 * outputs @ values.mT).clamp_min(0).sqrt()
    # A query that sees one slot alone has nothing left without it: a large number, not infinity.
    left = (1 - weights).clamp_min(torch.finfo(weights.dtype).eps)
    return weights / left * apart


def _in_turn(slots: Slots) -> Iterator[Tensor]:
    rows = torch.arange(slots.num_new, device=slots.index.device)
    yield from rows.split(ROWS_AT_ONCE)
