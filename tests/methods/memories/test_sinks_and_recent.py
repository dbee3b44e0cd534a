"""Sinks stay, whatever comes; contiguous, they stand as near as in the cache of StreamingLLM."""

from __future__ import annotations

import pytest

from crossframe.framework import VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import ReadCarried, SinksAndRecentMemory


def test_sinks_and_the_newest_are_carried(frames, open_session) -> None:
    session = open_session(SinksAndRecentMemory(5, num_sinks=2))
    for frame in frames(*[3] * 100):
        session.push(frame)
    assert session.slots(0).index[0].tolist() == [[0, 1, 297, 298, 299]] * 2
    assert not session.slots(0).moved


# That keys then read as if rotated anew from before RoPE: test_contiguous_positions.py.
def test_contiguous_slots_stand_right_before_the_next_token(frames, open_session) -> None:
    session = open_session(SinksAndRecentMemory(5, num_sinks=2, positions="contiguous"))
    for number, frame in enumerate(frames(*[3] * 100)):
        session.push(frame)
        slots, end = session.slots(1), 3 * (number + 1)
        kept = min(5, end)
        assert slots.positions[0, 0].tolist() == [list(range(end - kept, end))] * 2
    assert session.slots(1).index[0].tolist() == [[0, 1, 297, 298, 299]] * 2


def test_a_contiguous_stream_may_be_of_any_length(frames) -> None:
    memory = SinksAndRecentMemory(16, positions="contiguous")
    session = VideoSession(ReferenceDecoder(), memory, reader=ReadCarried(), max_tokens=20)
    for frame in frames(*[4] * 50):
        session.push(frame)
    assert session.cursor.tokens == 200
    assert bool(session.question_logits([3, 1, 4]).isfinite().all())


@pytest.mark.parametrize(
    ("memory", "reach"),
    [
        (SinksAndRecentMemory(16, positions="contiguous"), 16),
        (SinksAndRecentMemory(None, positions="contiguous"), None),
        (SinksAndRecentMemory(16), None),
    ],
    ids=repr,
)
def test_only_contiguous_slots_promise_a_reach(frames, memory, reach) -> None:
    assert memory.reach(4) == reach
    session = VideoSession(ReferenceDecoder(), memory, max_tokens=20)
    if reach is None:
        with pytest.raises(ValueError, match="the stream would reach 24 tokens"):
            session.push(frames(*[4] * 6))
