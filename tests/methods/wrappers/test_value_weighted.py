"""Value-weighted scores against plain loops."""

from __future__ import annotations

import pytest

from crossframe.methods import (
    KeyDiffMemory,
    RecencyMemory,
    StateKVMemory,
    ValueWeighted,
)


def test_kept_slots_equal_the_oracle(equals_loops, best) -> None:
    def keep(head):
        scores = []
        for place, slot in enumerate(head.slots):
            mass = sum(row[place] for group in head.weights for row in group)
            scores.append(mass * sum(x * x for x in slot.value) ** 0.5)
        return best(scores, 9)

    equals_loops(ValueWeighted(StateKVMemory(9)), lambda heads: [keep(head) for head in heads])


def test_whole_numbers_are_weighted_too(frames, open_session) -> None:
    session = open_session(ValueWeighted(RecencyMemory(3)))
    session.push(frames(4, 4))
    assert session.slots(0).num_slots == 3


def test_negative_scores_are_refused(frames, open_session) -> None:
    session = open_session(ValueWeighted(KeyDiffMemory(3)))
    with pytest.raises(ValueError, match=r"KeyDiffMemory\(.*gives negative scores, .* wrap a mem"):
        session.push(frames(4))
