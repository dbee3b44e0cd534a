"""Value-weighted scores against plain loops."""

from __future__ import annotations

import pytest

from crossframe.methods import (
    KeyDiffMemory,
    RecencyMemory,
    StateKVMemory,
    ValueWeighted,
)


def test_kept_slots_equal_the_oracle(equals_scores) -> None:
    def scores(head) -> list[float]:
        lengths = [sum(x * x for x in slot.value) ** 0.5 for slot in head.slots]
        return [mass * length for mass, length in zip(head.mass(), lengths, strict=True)]

    equals_scores(ValueWeighted(StateKVMemory(9)), scores)


def test_whole_numbers_are_weighted_too(frames, open_session) -> None:
    session = open_session(ValueWeighted(RecencyMemory(3)))
    session.push(frames(4, 4))
    assert session.slots(0).num_slots == 3


def test_negative_scores_are_refused(frames, open_session) -> None:
    session = open_session(ValueWeighted(KeyDiffMemory(3)))
    with pytest.raises(ValueError, match=r"KeyDiffMemory\(.*gives negative scores, .* wrap a mem"):
        session.push(frames(4))
