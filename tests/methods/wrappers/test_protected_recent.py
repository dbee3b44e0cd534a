"""Protected recent slots against plain loops, inside a budget and on top of other memories."""

from __future__ import annotations

import pytest

from crossframe.methods import (
    IsolatedFramesMemory,
    ProtectedRecent,
    ProtectedSinks,
    SlidingWindowMemory,
    SmoothedScore,
    StateKVMemory,
)

SETTINGS = [(3, 0), (0, 1), (0, 2), (9, 1)]


def recent(head, tokens: int, frames: int) -> list[int]:
    count, newest = len(head.slots), head.slots[-1].frame
    whole = {place for place, slot in enumerate(head.slots) if slot.frame > newest - frames}
    return sorted(whole | set(range(max(0, count - tokens), count)))


@pytest.mark.parametrize(("tokens", "whole"), SETTINGS)
def test_inside_a_budget_kept_slots_equal_the_oracle(equals_loops, best, tokens, whole) -> None:
    def keep(head):
        count = len(head.slots)
        if count <= 13:
            return range(count)
        newest = recent(head, tokens, whole)
        rest = [place for place in range(count) if place not in newest]
        mass = [sum(row[p] for group in head.weights for row in group) for p in rest]
        return [*newest, *(rest[n] for n in best(mass, 13 - len(newest)))]

    memory = ProtectedRecent(StateKVMemory(13), tokens=tokens, frames=whole)
    equals_loops(memory, lambda heads: [keep(head) for head in heads])


@pytest.mark.parametrize(("tokens", "whole"), SETTINGS)
def test_on_top_of_isolated_frames_kept_slots_equal_the_oracle(equals_loops, tokens, whole) -> None:
    memory = ProtectedRecent(IsolatedFramesMemory(), tokens=tokens, frames=whole)
    equals_loops(memory, lambda heads: [recent(head, tokens, whole) for head in heads])


def test_protection_ends_when_newer_slots_come(frames, open_session) -> None:
    # A score that rises with age: without protection the oldest would stay.
    session = open_session(ProtectedRecent(SmoothedScore(StateKVMemory(4), "sum"), tokens=3))
    for frame in frames(*[2] * 40):
        session.push(frame)
    index = session.slots(0).index[0, 0].tolist()
    assert index[1:] == [77, 78, 79] and index[0] < 77


def test_both_ends_may_be_protected(frames, open_session) -> None:
    for memory in (
        ProtectedRecent(ProtectedSinks(StateKVMemory(5), tokens=2), tokens=3),
        ProtectedSinks(ProtectedRecent(StateKVMemory(5), tokens=3), tokens=2),
    ):
        session = open_session(memory)
        session.push(frames(4, 4, 4))
        assert session.slots(0).index[0].tolist() == [[0, 1, 9, 10, 11]] * 2


def test_the_limit_grows_by_what_comes_on_top() -> None:
    memory = ProtectedRecent(SlidingWindowMemory(2), tokens=4, frames=3)
    assert memory.limit(0, 1, 10) == 2 * 10 + 4 + 3 * 10
