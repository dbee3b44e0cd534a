"""Equal bytes: statistics of slots are paid for in slots.

On a tiny decoder, for bytes do not depend on weights; docs/evidence.md has it run on a trained one.
"""

import pytest
import torch

from crossframe.experiments.evidence.equal_bytes import at_equal_bytes
from crossframe.framework import CrossFrameMemory, VideoSession
from crossframe.methods import (
    FullMemory,
    H2OMemory,
    ProtectedSinks,
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
)
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

LIKE = StateKVMemory(96)


@pytest.fixture(scope="module")
def model() -> DecoderModel:
    return DecoderModel(tiny_qwen2(), tiny_tokenizer())


def held(model: DecoderModel, memory: CrossFrameMemory) -> int:
    session = VideoSession(model, memory)
    for frame in torch.arange(6 * 32).reshape(6, 1, 32):
        session.push(model.frame(frame, session.cursor))
    return session.costs[-1].state_bytes


def test_what_a_rule_keeps_of_its_slots_is_paid_for_in_slots(model: DecoderModel) -> None:
    wanted = held(model, LIKE)
    h2o = at_equal_bytes(model, H2OMemory(7), LIKE)
    assert isinstance(h2o, H2OMemory)
    assert h2o.capacity is not None
    assert h2o.capacity < 96, "its sums are held too"
    slot = wanted / 96
    assert abs(held(model, h2o) - wanted) <= slot
    assert abs(held(model, H2OMemory(96)) - wanted) > abs(held(model, h2o) - wanted)


def test_sizes_inside_wrappers_and_of_windows_are_found(model: DecoderModel) -> None:
    assert at_equal_bytes(model, RecencyMemory(1), LIKE) == RecencyMemory(96)
    wrapped = ProtectedSinks(RecencyMemory(8), tokens=4)
    assert at_equal_bytes(model, wrapped, LIKE) == ProtectedSinks(RecencyMemory(96), tokens=4)
    assert at_equal_bytes(model, SlidingWindowMemory(9), LIKE) == SlidingWindowMemory(3)


def test_memories_without_a_size_are_refused(model: DecoderModel) -> None:
    with pytest.raises(ValueError, match=r"FullMemory\(\) cannot have the bytes of StateKVMemory"):
        at_equal_bytes(model, FullMemory(), LIKE)
    with pytest.raises(ValueError, match="the other a capacity"):
        at_equal_bytes(model, RecencyMemory(8), StateKVMemory(None))
    with pytest.raises(ValueError, match=r"cannot have .* within a tolerance of 5%"):
        at_equal_bytes(model, SlidingWindowMemory(9), StateKVMemory(80))
