"""LagKV: slots that stand out from the partition behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from ...framework import ScoringMemory, Slots, require_count
from ..selection import ranks, real_slots, require_fits, widened


@final
@dataclass(frozen=True)
class LagKVMemory(ScoringMemory):
    """Keep sinks, the newest partition, and what is spread most in the range of the next partition.

    Rule: behind the first `num_sinks` slots, [carried ; frame] is cut into partitions of `lag`
    neighbouring slots, in each KV head for itself. Keys are scaled per channel so that the minimum
    and maximum over the next partition are 0 and 1; their standard deviation over channels goes
    through a softmax over the partition; the same for values; the score is the mean of both. The
    last whole partition, which has no reference, and the slots behind it stay before scored ones,
    sinks before all.

    Partitions are neighbours along the slots, as in a cache, not stretches of video: behind the
    newest frames a partition holds the survivors of many frames, in each head other ones, and is
    cut anew after every step.

    Paper: Liang et al., "LagKV: Lag-Relative Information of the KV Cache Tells Which Tokens Are
    Important", arXiv 2504.04704.

    Args:
        capacity: slots per KV head; None is full attention. Up to num_sinks + lag it is filled by
            sinks and the newest slots alone.
        lag: slots per partition, at least 2. Small ones compare with what came right after, and
            keep fewer newest slots.
        num_sinks: initial slots that are never evicted.
        cross_scoring: compare scores between partitions. By default only ranks inside a partition
            count, so that every partition loses the same share, the older first.

    Raises:
        ValueError: for settings out of range, or if the sinks alone would not fit.

    Differences from the paper: it compresses each partition once, when its reference is complete,
    and then keeps what is left for good; with a bound on a stream that never ends, survivors are
    cut and scored again. A channel that is constant over the reference counts as 0 instead of
    dividing by it.

    Cost per frame: attention over at most capacity + frame tokens, no attention mass; a few passes
    over keys and values. Bytes held: `capacity` slots.
    """

    lag: int = 128
    num_sinks: int = 4
    cross_scoring: bool = False
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("LagKVMemory", "lag", self.lag, least=2, unbounded=False)
        require_count("LagKVMemory", "num_sinks", self.num_sinks, unbounded=False)
        require_fits("LagKVMemory", "num_sinks", self.num_sinks, self.capacity)

    def score(self, slots: Slots) -> Tensor:
        places = torch.arange(slots.num_slots, device=slots.index.device).expand_as(slots.index)
        if slots.valid is None:
            return self._from_front(slots.keys, slots.values, places, slots.num_slots)
        # Partitions are counted from each head's first slot, so padding goes behind for a moment.
        padding = (~slots.valid).sum(-1, keepdim=True)
        there, back = ((places + turn) % slots.num_slots for turn in (padding, -padding))
        keys, values = (
            rows.gather(2, there[..., None].expand_as(rows)) for rows in (slots.keys, slots.values)
        )
        score = self._from_front(keys, values, places, slots.num_slots - padding)
        return score.gather(-1, back)

    def protected(self, slots: Slots) -> Tensor:
        real = real_slots(slots)
        return real & (real.long().cumsum(-1) <= self.num_sinks)

    def _from_front(
        self, keys: Tensor, values: Tensor, places: Tensor, count: Tensor | int
    ) -> Tensor:
        """[B, K, S] scores where heads begin with their `count` slots."""
        scored = (self._spread(keys) + self._spread(values)) / 2
        if not self.cross_scoring:
            scored = -ranks(scored)
        scored = scored.flatten(2)
        front = min(self.num_sinks, places.shape[-1])
        behind = places.shape[-1] - front - scored.shape[-1]
        # Ranks are at most 0, a softmax at most 1.
        score = functional.pad(scored, (front, behind), value=2)
        with_reference = ((count - self.num_sinks) // self.lag - 1) * self.lag
        return score.masked_fill(places >= self.num_sinks + with_reference, 2)

    def _spread(self, rows: Tensor) -> Tensor:
        """[B, K, partitions with a reference, lag] spread of rows [B, K, S, D] over channels."""
        whole = max(rows.shape[2] - self.num_sinks, 0) // self.lag
        cut = widened(rows)[:, :, self.num_sinks :][:, :, : whole * self.lag]
        parts = cut.unflatten(2, (whole, self.lag))
        reference, parts = parts[:, :, 1:], parts[:, :, :-1]
        low, high = reference.amin(-2, keepdim=True), reference.amax(-2, keepdim=True)
        scaled = ((parts - low) / (high - low)).masked_fill(high == low, 0)
        # `std` itself warns where there are no partitions.
        centred = scaled - scaled.mean(-1, keepdim=True)
        spread = torch.linalg.vector_norm(centred, dim=-1) / (rows.shape[-1] - 1) ** 0.5
        return spread.softmax(-1)
