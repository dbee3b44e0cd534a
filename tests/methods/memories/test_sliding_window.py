"""A sliding window carries the newest whole frames."""

from __future__ import annotations

from crossframe.methods import SlidingWindowMemory


def test_after_a_push_the_newest_frames_are_carried(frames, open_session) -> None:
    session = open_session(SlidingWindowMemory(2))
    carried = []
    for frame in frames(2, 3, 1, 2):
        session.push(frame)
        carried.append(session.slots(0).frame[0, 0].tolist())
    assert carried == [[0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 2], [2, 3, 3]]


def test_a_window_of_no_frames_carries_nothing(frames, open_session) -> None:
    session = open_session(SlidingWindowMemory(0))
    session.push(frames(2, 3))
    assert session.slots(0).num_slots == 0
