"""Attention sinks and the newest tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots, placed_after, require_count, require_one_of
from ..selection import require_fits

POSITIONS = ("kept", "contiguous")


@final
@dataclass(frozen=True)
class SinksAndRecentMemory(ScoringMemory):
    """Keep the first `num_sinks` tokens of the stream and the newest others.

    Rule: sinks rank above everything, the rest by token number. The control the StateKV paper
    lacks: a window fails mostly because it loses the sinks.

    Paper: with contiguous positions, StreamingLLM, Xiao et al., "Efficient Streaming Language
    Models with Attention Sinks", arXiv 2309.17453.

    Args:
        capacity: slots per KV head, sinks included; None is full attention.
        num_sinks: initial tokens that are never evicted.
        positions: "kept" leaves all slots where they were produced, the sinks ever farther back.
            "contiguous" places slots one after the other right before the next token, once
            something was evicted, so that streams may be of any length: the session's `max_tokens`
            need only be capacity + a frame. Under M-RoPE the slots of a frame keep their places in
            its grid, and may take more positions than `capacity`.

    Raises:
        ValueError: if the sinks alone would not fit, or for other positions.

    Differences from the released code: it caches keys before RoPE; here stored keys are turned on
    from where they were produced, which is one rotation as well. It evicts before a token comes,
    here after a frame has passed.

    Cost per frame: attention over at most capacity + frame tokens; contiguous, one rotation of the
    carried keys. Bytes held: `capacity` slots, contiguous with the positions they were produced at.
    """

    num_sinks: int = 4
    positions: str = "kept"
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("SinksAndRecentMemory", "num_sinks", self.num_sinks, unbounded=False)
        require_fits("SinksAndRecentMemory", "num_sinks", self.num_sinks, self.capacity)
        require_one_of("SinksAndRecentMemory", "positions", self.positions, POSITIONS)

    def score(self, slots: Slots) -> Tensor:
        highest = torch.iinfo(torch.int64).max
        return slots.index.masked_fill(slots.index < self.num_sinks, highest)

    def select(self, slots: Slots, score: Tensor) -> Slots:
        kept = super().select(slots, score)
        return placed_after(slots, kept) if self.positions == "contiguous" else kept

    def reach(self, frame_tokens: int) -> int | None:
        del frame_tokens
        return self.capacity if self.positions == "contiguous" else None

    @property
    def keeps_highest(self) -> bool:
        return self.positions == "kept"
