"""A push makes the host wait for nothing: it runs where tensors hold no numbers to be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    Int8Archive,
    ScoringMemory,
    Slots,
    VideoModel,
    VideoSession,
)
from crossframe.methods import SlidingWindowMemory, StateKVMemory, StreamMemMemory
from crossframe.models import DecoderModel, tiny

from ...every import MEMORIES, WRAPPERS, named
from ..fake_accelerator import CUDA, Event, FakeAccelerator, FakeDecoder, HostWaits

# It tells by numbers which tokens enter, so that their count depends on them.
DROPS = "TokenDroppingMemory"
# The first of every class; `test_graphable.py` runs the updates of them all.
GRAPHABLE = {
    type(memory): memory
    for memory, _ in reversed([*MEMORIES, *WRAPPERS])
    if memory.graphable and type(memory).__name__ != DROPS
}
# `held_bytes` tells storages apart by where they lie.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")


@pytest.fixture(autouse=True)
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    with FakeAccelerator():
        yield


def frame(model: VideoModel, start: int) -> FrameTokens:
    """Three tokens on the accelerator, their positions on the host."""
    embeds = torch.zeros(1, 3, model.spec.hidden, dtype=model.dtype, device=CUDA)
    return FrameTokens(embeds, torch.arange(start, start + 3).expand(model.position_axes, 1, -1))


def pushed(
    memory: CrossFrameMemory,
    model: VideoModel | None = None,
    attention: str = "sdpa",
    **options: Any,
) -> VideoSession:
    """A session after two frames, pushed one by one."""
    model = model or FakeDecoder()
    session = VideoSession(model, memory, attention=attention, **options)
    for start in (0, 3):
        session.push(frame(model, start))
    return session


@pytest.mark.parametrize("memory", GRAPHABLE.values(), ids=named)
def test_a_push_with_a_graphable_memory_waits_for_nothing(memory: CrossFrameMemory) -> None:
    session = pushed(memory)
    assert session.cursor.tokens == 6
    assert session.slots(1).index.device.type == "cuda"


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "chunked"},
        {"attention": "plain"},
        {"archive": Int8Archive()},
        {"in_frame": "bidirectional"},
    ],
    ids=str,
)
def test_nor_with_other_settings(options: dict[str, Any]) -> None:
    assert pushed(StateKVMemory(4), **options).cursor.tokens == 6


def test_nor_under_m_rope() -> None:
    assert pushed(StateKVMemory(4), FakeDecoder(axes=3)).cursor.tokens == 6


def test_nor_with_a_probe() -> None:
    assert pushed(StreamMemMemory(4, (3, 0))).cursor.tokens == 6


def test_nor_in_a_decoder_of_transformers() -> None:
    decoder: Any = tiny.tiny_qwen2(dtype=torch.float32)
    session = pushed(StateKVMemory(4), DecoderModel(decoder.to(CUDA, non_blocking=True)))
    assert session.slots(1).num_slots == 4


# What does wait is found


class ReadsNumbers(ScoringMemory):
    def score(self, slots: Slots) -> torch.Tensor:
        return slots.index + int(slots.index.max())


class CopiesToTheHost(ScoringMemory):
    def score(self, slots: Slots) -> torch.Tensor:
        return slots.index.cpu()


@pytest.mark.parametrize(
    ("memory", "error"),
    [
        (ReadsNumbers(4), DataDependentOutputException),
        (CopiesToTheHost(4), HostWaits),
        (SlidingWindowMemory(1), DataDependentOutputException),
    ],
    ids=repr,
)
def test_a_memory_that_waits_is_found(memory: CrossFrameMemory, error: type[Exception]) -> None:
    with pytest.raises(error):
        pushed(memory)


def test_a_shape_that_depends_on_numbers_is_found() -> None:
    with pytest.raises(DynamicOutputShapeException):
        torch.zeros(3, device=CUDA).nonzero()


def test_positions_on_the_accelerator_are_waited_for() -> None:
    model = FakeDecoder()
    far = replace(frame(model, 0), positions=torch.zeros(1, 1, 3, dtype=torch.int64, device=CUDA))
    with pytest.raises(DataDependentOutputException):
        VideoSession(model, FullMemory()).push(far)


def test_a_first_frame_is_asked_whether_it_is_a_prompt() -> None:
    model, visual = FakeDecoder(), torch.ones(1, 3, dtype=torch.bool, device=CUDA)
    with pytest.raises(DataDependentOutputException):
        VideoSession(model, FullMemory()).push(replace(frame(model, 0), visual=visual))
    pushed(FullMemory(), model).push(replace(frame(model, 6), visual=visual))


def test_a_plain_copy_to_the_accelerator_is_waited_for() -> None:
    with pytest.raises(HostWaits, match=r"from cpu to cuda.* waits"):
        torch.zeros(3).to(CUDA)
    with pytest.raises(HostWaits, match=r"from cpu to cuda.* waits"):
        torch.zeros(3, device=CUDA).copy_(torch.zeros(3))


def test_reading_the_cost_of_a_step_waits() -> None:
    with pytest.raises(HostWaits, match="event"):
        _ = pushed(FullMemory()).costs[-1].milliseconds
