"""Qwen3-VL in sessions: pending frames, memories, forks, saving, costs, what is left behind."""

from typing import Any

import pytest
import torch

from crossframe.framework import CrossFrameMemory, FullMemory, VideoSession
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import (
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from ...every import NATIVE
from ..streams import QUESTION, asked, patches, rotary_products, session_after, video

BOUNDED: list[CrossFrameMemory] = [
    StateKVMemory(9),
    SlidingWindowMemory(2),
    RecencyMemory(12),
    TokenDroppingMemory(ratio=0.5, inner=StateKVMemory(9)),
]


def model_with(kind: str = "") -> Any:
    return NATIVE["qwen3_vl"].model(kind=kind).for_stream(4)


# Pending frames


def test_one_waiting_frame_can_be_asked_about():
    session = session_after(model_with(), video(1))
    assert session.cursor.frames == 0
    assert torch.equal(asked(session), asked(session_after(model_with(), video(1)[0])))


def test_a_failed_push_leaves_the_waiting_frame():
    session = session_after(model_with(), video(3))
    with pytest.raises(ValueError, match="differ in size"):
        session.push([video(4)[3, :40], video(4)[3]])
    session.push(video(4)[3])
    assert torch.equal(asked(session), asked(session_after(model_with(), video(4))))


# Memories


@pytest.mark.parametrize("memory", BOUNDED, ids=lambda memory: type(memory).__name__)
def test_bounded_memories_run_and_keep_their_bound(memory):
    session = session_after(model_with(), video(9), memory=memory, frames_per_step=1)
    largest = session.state.largest_frame
    for layer in range(3):
        limit = memory.limit(layer, 3, largest)
        assert limit is not None
        assert 0 < session.slots(layer).num_slots <= limit
    answer = session.ask(QUESTION, max_new_tokens=4)
    assert answer.first_logits.isfinite().all()
    assert (asked(session) - asked(session_after(model_with(), video(9)))).abs().max() > 1e-6


# Costs


@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(9)], ids=repr)
@pytest.mark.parametrize(("kind", "experts"), [("", 0), ("experts", 4)])
def test_the_counted_cost_of_a_push_is_the_closed_form(memory, kind, experts):
    model = model_with(kind)
    session = VideoSession(model, memory)
    for frame in patches(model_with(), 1, 2, 3):
        with flop_counter() as counter:
            session.push(frame)
        tokens = frame.num_tokens
        router = 2 * tokens * model.spec.num_layers * model.spec.hidden * experts
        beside = rotary_products(model, tokens) + router
        assert counter.get_total_flops() - beside == session.costs[-1].flops
