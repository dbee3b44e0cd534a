"""Reservoir: a uniform random sample of the whole stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ..framework import ScoringMemory, Slots, require_count
from .selection import slot_priority


@final
@dataclass(frozen=True)
class ReservoirMemory(ScoringMemory):
    """Keep `capacity` slots drawn uniformly from the whole stream, per layer and KV head.

    Rule: every token has a fixed random priority, hashed from (seed, layer, head, token number);
    the highest are kept. Since priorities never change this is a reservoir sample: after n tokens
    each is held with chance capacity / n. No generator, so sessions fork and save exactly.

    Paper: Vitter, "Random Sampling with a Reservoir", 1985, asks for such a sample; random keys
    are one way to draw it.

    Args:
        capacity: slots per KV head; None is full attention.
        seed: other seeds draw other slots.

    Raises:
        ValueError: if the seed is not an integer of at least 0.

    Cost per frame: attention over at most capacity + frame tokens. Bytes held: `capacity` slots.
    """

    seed: int = 0
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("ReservoirMemory", "seed", self.seed, unbounded=False)

    def score(self, slots: Slots) -> Tensor:
        return slot_priority(slots, self.seed)
