"""Contiguous positions: carried slots stand right before the next token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch

from ...framework import Slots, next_position, placed_after, require_count, span
from ...framework.memory import KeptChangingMemory


@final
@dataclass(frozen=True)
class ContiguousPositions(KeptChangingMemory):
    """Place what an inner memory carries without gaps, so that streams may be of any length.

    Rule: what evicted slots left open is closed, and the last carried slot stands right before the
    next token, in every head by itself. With `max_reach=None` after every step in which something
    is missing from the stream, or the stream outgrew `max_tokens`; with a number only in heads
    whose earliest slot would otherwise stand more than `max_reach` positions behind the next token,
    and until then slots stay where they are. While nothing is evicted nothing moves. Stored keys
    stay as produced; reading rotates them once, by the whole way, so that rounding does not add up.

    Paper: "None" is what StreamingLLM (Xiao et al., arXiv 2309.17453) does to its cache and
    StreamingVLM calls shrinking; a number follows HERMES, which re-rotates when positions run out.
    StateKV (arXiv 2605.31598) leaves all slots in place.

    Under M-RoPE the slots of a frame move together and keep their places in its grid, so that a
    frame of one slot is as near to its neighbours as a whole one.

    Args:
        inner: a memory that selects slots. It sees `Slots.positions` as moved.
        max_reach: positions. Distances inside it stay exact until a head overflows; then all its
            gaps go at once. Choose it so that with a frame it fits into the session's `max_tokens`.

    Raises:
        ValueError: if the inner memory merges slots; at a push, if more slots are carried than
            `max_reach` has positions for (RoPE), or if a stream beyond `max_tokens` carries a slot
            farther back than the session planned for.

    A session whose memory promises a reach takes streams beyond its `max_tokens`, and counts their
    rotary angles from an origin that moves along, so that float32 holds them. The promise is
    `max_reach`, or without it the inner memory's limit, and none where the inner memory has none.
    Without `max_reach` it holds for RoPE with one budget for all layers and heads; elsewhere set
    `max_reach`.

    Cost per frame: the inner memory's, and once something was evicted one rotation of the carried
    keys. Bytes held: its own and the positions the keys were produced at.
    """

    max_reach: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("ContiguousPositions", "max_reach", self.max_reach, least=1)
        if self.merges:
            raise ValueError(
                f"ContiguousPositions: {self.inner!r} merges slots and places them itself; wrap a "
                "memory that only selects"
            )

    def reach(self, frame_tokens: int) -> int | None:
        limit = self.inner.limit(0, 1, frame_tokens)
        return limit if limit is None or self.max_reach is None else self.max_reach

    def changed(self, slots: Slots, kept: Slots) -> Slots:
        placed = placed_after(slots, kept)
        if self.max_reach is None:
            return placed
        self._require_room(kept, self.max_reach)
        if placed is kept:
            return kept
        over = span(kept, next_position(slots)) > self.max_reach
        positions = torch.where(over[None, :, :, None], placed.positions, kept.positions)
        return replace(kept, positions=positions)

    def _require_room(self, kept: Slots, max_reach: int) -> None:
        promised = self.reach(kept.num_slots) is not None
        if promised and len(kept.positions) == 1 and kept.num_slots > max_reach:
            raise ValueError(
                f"ContiguousPositions: {kept.num_slots} slots are carried in layer {kept.layer}, "
                f"more than max_reach={max_reach} positions; raise max_reach or lower the capacity "
                f"of {self.inner!r}"
            )
