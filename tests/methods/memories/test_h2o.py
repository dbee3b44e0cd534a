"""H2O against plain loops of the paper's rule; what its running sums hold."""

from __future__ import annotations

import pytest
import torch

from crossframe.methods import H2OMemory


@pytest.fixture
def heavy_hitters(best):
    """The rule in plain loops: a running sum (and count of queries) noted on every slot."""

    def rule_for(capacity: int, recent: int, by_age: bool):
        def keep(head):
            for place, (slot, mass) in enumerate(zip(head.slots, head.mass(), strict=True)):
                slot.notes["mass"] = slot.notes.get("mass", 0.0) + mass
                own_row = place - (len(head.slots) - head.num_new)
                saw = sum(1 for row in range(head.num_new) if row >= own_row)
                slot.notes["queries"] = slot.notes.get("queries", 0) + saw
            count = len(head.slots)
            if count <= capacity:
                return range(count)
            older = head.slots[: count - recent]
            scores = [s.notes["mass"] / (s.notes["queries"] if by_age else 1) for s in older]
            return [*best(scores, capacity - recent), *range(count - recent, count)]

        return lambda heads: [keep(head) for head in heads]

    return rule_for


@pytest.mark.parametrize(
    ("memory", "recent", "by_age"),
    [
        (H2OMemory(9), 4, False),
        (H2OMemory(9, recent=0), 0, False),
        (H2OMemory(9, recent=9), 9, False),
        (H2OMemory(9, normalise="age"), 4, True),
        (H2OMemory(9, recent=1, normalise="age"), 1, True),
    ],
    ids=repr,
)
def test_kept_slots_equal_the_oracle(equals_loops, heavy_hitters, memory, recent, by_age) -> None:
    equals_loops(memory, heavy_hitters(9, recent, by_age))


def test_sums_hold_all_mass_ever_handed_out_while_nothing_is_evicted(frames, open_session) -> None:
    session = open_session(H2OMemory(None))
    session.push(frames(3, 5, 2))
    # Every query of each of the two heads in a group hands out 1.
    total = session.slots(0).stats["h2o_mass"].sum(-1)
    assert torch.allclose(total, torch.full_like(total, 2 * 10))


def test_the_number_of_queries_counts_from_each_tokens_birth(frames, open_session) -> None:
    session = open_session(H2OMemory(5, recent=5, normalise="age"))
    for frame in frames(4, 2, 3):
        session.push(frame)
    slots = session.slots(1)
    assert slots.index[0, 0].tolist() == [4, 5, 6, 7, 8]
    assert slots.stats["h2o_queries"][0].tolist() == [[5, 4, 3, 2, 1]] * 2


def test_a_count_of_queries_is_only_held_where_it_is_used(frames, open_session) -> None:
    session = open_session(H2OMemory(5))
    session.push(frames(4, 2, 3))
    assert set(session.slots(0).stats) == {"h2o_mass"}
