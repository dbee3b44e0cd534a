"""Random slots: what selection by attention has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import Slots
from ..random_priority import SeededMemory, slot_priority


@final
@dataclass(frozen=True)
class RandomMemory(SeededMemory):
    """Keep `capacity` slots drawn anew from [carried ; frame] after every step.

    Rule: random priorities, hashed from (seed, layer, head, token number, newest token number); the
    highest are kept. The newest token number tells one step from the next, so every slot takes its
    chance again, and one of a frame n steps ago has survived with chance
    (capacity / (capacity + frame tokens))^(n + 1): the past thins geometrically, as under any rule
    that ranks each frame afresh. `ReservoirMemory` draws once per token and covers the whole stream
    alike. No generator, so sessions fork and save exactly.

    Args:
        capacity: slots per KV head; None is full attention.
        seed: other seeds draw other slots.

    Raises:
        ValueError: if the seed is not an integer of at least 0.

    Cost per frame: attention over at most capacity + frame tokens. Bytes held: `capacity` slots.
    """

    def score(self, slots: Slots) -> Tensor:
        return slot_priority(slots, self.seed, slots.index[..., -1:])
