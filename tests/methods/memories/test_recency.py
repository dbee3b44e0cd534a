"""Recency keeps the newest tokens, even inside a frame."""

from __future__ import annotations

from crossframe.methods import RecencyMemory


def test_the_newest_tokens_are_carried(frames, open_session) -> None:
    session = open_session(RecencyMemory(4))
    session.push(frames(3, 5, 3))
    assert session.slots(1).index[0].tolist() == [[7, 8, 9, 10]] * 2
    assert session.slots(1).frame[0, 0].tolist() == [1, 2, 2, 2]
