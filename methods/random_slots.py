"""Random slots: what selection by attention has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..framework import ScoringMemory, Slots
from .selection import hashed_priority


@final
@dataclass(frozen=True)
class RandomMemory(ScoringMemory):
    """Keep `capacity` slots drawn uniformly from the whole stream, per layer and KV head.

    Rule: every token has a fixed random priority, hashed from (seed, layer, head, token number);
    the highest are kept. Since priorities never change this is a reservoir sample: after n tokens
    each is held with chance capacity / n. No generator, so sessions fork and save exactly.

    Args:
        capacity: slots per KV head; None is full attention.
        seed: other seeds draw other slots.

    Cost per frame: attention over at most capacity + frame tokens. Bytes held: `capacity` slots.
    """

    seed: int = 0
    graphable = True

    def score(self, slots: Slots) -> Tensor:
        heads = torch.arange(slots.index.shape[1], device=slots.index.device)
        # Heads lie 2^40 tokens apart, farther than any stream is long.
        own = slots.index + (heads << 40)[:, None]
        return hashed_priority(own, self.seed, slots.layer)
