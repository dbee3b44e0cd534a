"""StateKV against a plain-loop oracle of the paper's pseudo-code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework import VideoSession
from crossframe.framework.testing import Stream, streams
from crossframe.methods import StateKVMemory

from ..loops import LoopHead, LoopMemory, best


@settings(max_examples=25, deadline=None)
@given(stream=streams(max_batch=2, max_frames=6, max_tokens=5), capacity=st.integers(0, 12))
def test_kept_slots_equal_the_oracle_at_every_frame_layer_and_head(
    stream: Stream, capacity: int
) -> None:
    def rule(heads: Sequence[LoopHead]) -> list[list[int]]:
        return [best(head.mass(), capacity) for head in heads]

    session, loops = (
        VideoSession(stream.model, StateKVMemory(capacity)),
        LoopMemory(stream.model, rule),
    )
    for frame in stream.frames:
        session.push(frame)
        loops.push(frame)
        for (layer, row, kv_head), kept in loops.held.items():
            held = session.slots(layer).index[row, kv_head].tolist()
            assert held == [slot.number for slot in kept]


def test_capacity_below_a_frame_keeps_heads_apart(frames, open_session) -> None:
    # Different heads hold different tokens: selection is per KV head, not per layer.
    session = open_session(StateKVMemory(3))
    session.push(frames(8, 8, 8, 8, seed=1))
    index = session.slots(0).index[0]
    assert not torch.equal(index[0], index[1])
