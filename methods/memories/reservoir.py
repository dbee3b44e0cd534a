"""Reservoir: a uniform random sample of the whole stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import Slots
from ..random_priority import SeededMemory, slot_priority


@final
@dataclass(frozen=True)
class ReservoirMemory(SeededMemory):
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

    def score(self, slots: Slots) -> Tensor:
        return slot_priority(slots, self.seed)
