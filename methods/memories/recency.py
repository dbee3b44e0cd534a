"""Recency: the newest tokens, wherever frames begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import ScoringMemory, Slots


@final
@dataclass(frozen=True)
class RecencyMemory(ScoringMemory):
    """Keep the newest `capacity` slots.

    Rule: rank by token number; the cut may fall inside a frame.
    Args:
        capacity: slots per KV head; None is full attention.
    Cost per frame: attention over at most capacity + frame tokens. Bytes held: `capacity` slots.
    """

    graphable = True

    def score(self, slots: Slots) -> Tensor:
        return slots.index
