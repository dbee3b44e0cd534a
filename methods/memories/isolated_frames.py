"""Isolated frames: no cross-frame attention at all. The lower bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ...framework import CrossFrameMemory, Slots
from ..selection import no_slots


@final
@dataclass(frozen=True)
class IsolatedFramesMemory(CrossFrameMemory):
    """Carry nothing: each frame attends only to itself.

    Rule: evict everything after every step. A control the StateKV paper lacks: what any memory
    adds, it adds to this.
    Cost per frame: the frame's own attention. Bytes held: none.
    """

    graphable = True

    def update(self, slots: Slots) -> Slots:
        return no_slots(slots)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return 0
