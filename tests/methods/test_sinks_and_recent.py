"""Sinks stay, whatever comes."""

from __future__ import annotations

import pytest

from crossframe.methods import SinksAndRecentMemory


def test_sinks_and_the_newest_are_carried(frames, open_session) -> None:
    session = open_session(SinksAndRecentMemory(5, num_sinks=2))
    for frame in frames(*[3] * 100):
        session.push(frame)
    assert session.slots(0).index[0].tolist() == [[0, 1, 297, 298, 299]] * 2


def test_sinks_beyond_the_capacity_are_refused() -> None:
    with pytest.raises(ValueError, match="num_sinks=4 do not fit into capacity=3; raise capacity"):
        SinksAndRecentMemory(3)


def test_a_negative_number_of_sinks_is_refused() -> None:
    with pytest.raises(ValueError, match="num_sinks must be an integer of at least 0, got -1"):
        SinksAndRecentMemory(3, num_sinks=-1)
