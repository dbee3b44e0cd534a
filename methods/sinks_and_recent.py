"""Attention sinks and the newest tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..framework import ScoringMemory, Slots, require_count


@final
@dataclass(frozen=True)
class SinksAndRecentMemory(ScoringMemory):
    """Keep the first `num_sinks` tokens of the stream and the newest others.

    Rule: sinks rank above everything, the rest by token number. The control the StateKV paper
    lacks: a window fails mostly because it loses the sinks. Positions stay as produced
    (StreamingLLM, arXiv 2309.17453, renumbers them inside the cache).

    Args:
        capacity: slots per KV head, sinks included; None is full attention.
        num_sinks: initial tokens that are never evicted.

    Raises:
        ValueError: if the sinks alone would not fit.

    Cost per frame: attention over at most capacity + frame tokens. Bytes held: `capacity` slots.
    """

    num_sinks: int = 4
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(type(self).__name__, "num_sinks", self.num_sinks, unbounded=False)
        if self.capacity is not None and self.num_sinks > self.capacity:
            raise ValueError(
                f"SinksAndRecentMemory: num_sinks={self.num_sinks} do not fit into "
                f"capacity={self.capacity}; raise capacity or lower num_sinks"
            )

    def score(self, slots: Slots) -> Tensor:
        highest = torch.iinfo(torch.int64).max
        return slots.index.masked_fill(slots.index < self.num_sinks, highest)
