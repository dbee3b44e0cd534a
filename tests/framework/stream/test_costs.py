"""What a session says each step cost."""

from types import SimpleNamespace
from weakref import ref

import pytest
import torch
from torch import Tensor

from crossframe.framework import FrameTokens, FullMemory, PlainArchive, VideoSession, WrappedMemory
from crossframe.framework.archives.paged import FIRST_PAGE
from crossframe.framework.flops import step_flops
from crossframe.framework.reference import TINY, ReferenceDecoder
from crossframe.framework.stream import costs
from crossframe.framework.stream.costs import StepCost, StepCosts, Timer, held_bytes
from crossframe.methods import IsolatedFramesMemory, RecencyMemory

from ..streams import frames

CPU = torch.device("cpu")
SLOT = 2 * 8 * 8 + 8 + 8 + 1 + 8  # a slot of one KV head: keys, values, index, frame, visual, place


def test_views_of_one_storage_count_once_and_whole() -> None:
    whole = torch.zeros(100, dtype=torch.float64)
    assert held_bytes([whole[:3], whole[50:], whole]) == 800
    assert held_bytes([whole[:1], torch.zeros(2, dtype=torch.bool)]) == 802
    assert held_bytes([torch.zeros(0), torch.zeros(0)]) == 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, to be set by hand."""
    seconds = [0.0]
    monkeypatch.setattr(costs, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    return seconds


def test_a_timer_measures_until_it_is_stopped(clock: list[float]) -> None:
    timer = Timer(CPU)
    clock[0] = 0.25
    timer.stop()
    clock[0] = 9.0
    assert timer.milliseconds == 250


def test_encoding_is_timed_apart(clock: list[float]) -> None:
    decode, encode = Timer(CPU), Timer(CPU)
    clock[0] = 0.5
    decode.stop()
    clock[0] = 2.0
    cost = StepCost(1, 2, 3, 4, decode, [encode.stop(), encode])
    assert cost.milliseconds == 500
    assert cost.encode_milliseconds == 4000
    assert StepCost(1, 2, 3, 4, decode).encode_milliseconds == 0


def test_every_step_has_one_cost_with_its_tokens() -> None:
    session = VideoSession(ReferenceDecoder(), FullMemory(), frames_per_step=2)
    session.push(frames(3, 4, 5))
    session.push(torch.zeros(3, 4, 4, 3, dtype=torch.uint8), [1.0, 2.0, 3.0])
    assert [cost.tokens for cost in session.costs] == [7, 5, 10, 5]
    assert [cost.images for cost in session.costs] == [0, 0, 2, 1]
    assert [len(cost.encode) for cost in session.costs] == [0, 0, 2, 1]
    assert [cost.timestamp for cost in session.costs] == [None, None, 1.0, 3.0]
    assert all(cost.milliseconds > 0 for cost in session.costs)


def test_flops_follow_the_slots_carried() -> None:
    session = VideoSession(ReferenceDecoder(), RecencyMemory(5))
    for frame in frames(3, 4, 3, 3, batch=2):
        session.push(frame)
    carried = [0, 3, 5, 5]
    assert [cost.flops for cost in session.costs] == [
        step_flops(TINY, batch=2, new_tokens=new, context_tokens=[old] * 2)
        for new, old in zip((3, 4, 3, 3), carried, strict=True)
    ]


@pytest.mark.parametrize(
    ("memory", "slots"), [(IsolatedFramesMemory(), 0), (RecencyMemory(5), 5), (FullMemory(), 12)]
)
def test_state_bytes_are_those_of_the_slots_held(memory: WrappedMemory, slots: int) -> None:
    session = VideoSession(ReferenceDecoder(), memory)
    session.push(frames(6))
    session.push(frames(6))
    layers, heads = TINY.num_layers, TINY.num_kv_heads
    assert session.costs[-1].state_bytes == session.state_bytes == layers * heads * slots * SLOT


FIRST = PlainArchive.page_bytes // FIRST_PAGE  # bytes of the page that every tensor begins with


def test_archive_bytes_are_those_of_its_storage() -> None:
    session = VideoSession(ReferenceDecoder(), RecencyMemory(2))
    session.push(frames(6))
    numbers = TINY.num_layers * TINY.num_kv_heads * 6 * 2 * TINY.head_dim
    columns = 6 * (8 + 8 + 1 + 8)
    archive = session.archive
    assert archive.bytes_appended == 8 * numbers + columns
    pages = TINY.num_layers * 2 + len(archive.columns)
    assert session.costs[-1].archive_bytes == archive.bytes_held == pages * FIRST


class Watchful(WrappedMemory):
    """Overrides `admit`, so that the previous frame is held for it."""

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        return frame


def test_the_frame_held_for_admit_and_waiting_images_count_too() -> None:
    session = VideoSession(ReferenceDecoder(patch=2), Watchful(IsolatedFramesMemory()))
    (frame,) = frames(6)
    session.push(frame.take(torch.arange(6)))
    held = session.state_bytes
    assert held == 6 * (24 * 8 + 8 + 8)  # embeddings, positions, token numbers
    many = torch.zeros(9, 4, 4, 3, dtype=torch.uint8)
    session.push(many)
    waiting = session.state.pending
    assert len(waiting) == 1
    assert held_bytes([frame.image for frame in waiting]) == 4 * 4 * 3, "not the whole clip"
    assert session.pending_bytes == 4 * 4 * 3
    assert session.state_bytes == 5 * (24 * 8 + 8 + 1), "the last whole frame"
    assert {cost.state_bytes for cost in session.costs[1:]} == {session.state_bytes}


def test_asking_and_failing_leave_no_costs() -> None:
    session = VideoSession(ReferenceDecoder(), FullMemory())
    session.push(frames(2))
    session.ask([1, 2], max_new_tokens=1)
    broken = frames(2, 2)
    broken[1].embeds.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        session.push(broken)
    assert len(session.costs) == 1
    fork = session.fork()
    fork.push(frames(1))
    assert (len(session.costs), len(fork.costs)) == (1, 2)


def cost(number: int) -> StepCost:
    timer = Timer(CPU)
    return StepCost(number, 10 * number, 3, 4, timer.stop(), [timer])


@pytest.mark.parametrize("history", [None, 1, 5, StepCosts.CHUNK, 100])
def test_the_newest_costs_are_shown_and_all_are_counted(history: int | None) -> None:
    costs, given = StepCosts(history), list[StepCost]()
    for number in range(3 * StepCosts.CHUNK):
        costs, given = costs.append(cost(number)), [*given, cost(number)]
        shown = given if history is None else given[-history:]
        assert len(costs) == len(shown)
        assert [each.tokens for each in costs] == [each.tokens for each in shown]
        assert costs[-1].tokens == costs[len(costs) - 1].tokens == number
        assert costs[0].tokens == shown[0].tokens
        assert [each.tokens for each in costs[-3:]] == [each.tokens for each in shown[-3:]]
        assert costs.totals.steps == number + 1
        assert costs.totals.tokens == number * (number + 1) // 2
        assert costs.totals.flops == 10 * costs.totals.tokens
    with pytest.raises(IndexError):
        costs[len(costs)]
    with pytest.raises(IndexError):
        costs[-len(costs) - 1]


def test_a_short_history_holds_few_steps_however_long_the_stream() -> None:
    costs, refs = StepCosts(history=10), list[ref[StepCost]]()
    for number in range(1000):
        costs = costs.append(cost(number))
        refs.append(ref(costs[-1]))
    assert sum(each() is not None for each in refs) <= 10 + StepCosts.CHUNK
    assert len(costs) == 10


def test_times_of_forgotten_steps_are_counted_on(clock: list[float]) -> None:
    costs = StepCosts(history=1)
    for _ in range(200):
        decode, encode = Timer(CPU), Timer(CPU)
        clock[0] += 0.5
        costs = costs.append(StepCost(1, 1, 1, 1, decode.stop(), [encode.stop()]))
    assert (costs.totals.milliseconds, costs.totals.encode_milliseconds) == (1e5, 1e5)


def test_costs_once_given_do_not_change() -> None:
    session = VideoSession(ReferenceDecoder(), FullMemory(), cost_history=2)
    before = session.costs
    for frame in frames(1, 2, 3):
        session.push(frame)
    assert (len(before), before.totals.steps) == (0, 0)
    assert [each.tokens for each in session.costs] == [2, 3]
    assert session.costs.totals.tokens == 6
    with pytest.raises(ValueError, match="cost_history must be an integer of at least 1,"):
        VideoSession(ReferenceDecoder(), FullMemory(), cost_history=0)
