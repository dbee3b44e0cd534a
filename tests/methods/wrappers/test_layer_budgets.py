"""Layer budgets: integers that sum up, and kept slots against plain loops."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossframe.methods import (
    AdaptiveHeadBudgets,
    CoverageMemory,
    LayerBudgets,
    PyramidBudgets,
    RecencyMemory,
    SmoothedScore,
    StateKVMemory,
)


def budgets(memory, num_layers: int) -> list[int]:
    return [memory.budget(layer, num_layers) for layer in range(num_layers)]


@given(
    st.integers(1, 5000),
    st.lists(st.floats(0.1, 10), min_size=1, max_size=5),
    st.integers(1, 80),
)
def test_budgets_sum_to_the_capacity_and_follow_the_shares(capacity, shares, num_layers) -> None:
    exact = []
    for layer in range(num_layers):
        depth = Fraction(layer * (len(shares) - 1), max(num_layers - 1, 1))
        below = int(depth)
        above = min(below + 1, len(shares) - 1)
        exact.append(
            Fraction(shares[below]) * (1 - depth + below)
            + Fraction(shares[above]) * (depth - below)
        )
    exact = [capacity * num_layers * share / sum(exact) for share in exact]
    if min(exact) < 1:
        return
    memory = LayerBudgets(RecencyMemory(capacity), tuple(shares))
    got = budgets(memory, num_layers)
    assert sum(got) == capacity * num_layers
    assert all(abs(budget - share) < 1 for budget, share in zip(got, exact, strict=True))
    assert [memory.limit(layer, num_layers, 9) for layer in range(num_layers)] == got


@given(st.integers(30, 5000), st.integers(1, 30), st.integers(0, 20), st.integers(2, 80))
def test_a_pyramid_falls_by_the_papers_formula(capacity, beta, window, num_layers) -> None:
    rest = capacity - window
    least = Fraction(rest, beta)
    most = 2 * rest - least
    exact = [
        window + most - layer * (most - least) / (num_layers - 1) for layer in range(num_layers)
    ]
    if min(exact) < 1:
        return
    got = budgets(PyramidBudgets(RecencyMemory(capacity), beta, window), num_layers)
    assert sum(got) == capacity * num_layers
    assert all(abs(budget - share) < 1 for budget, share in zip(got, exact, strict=True))


def released(capacity: int, window: int, beta: int, num_layers: int) -> list[int]:
    """The slots of every layer of a long prompt, its window's included, step by step."""
    smallest = (capacity - window) // beta
    slots = [2 * (capacity - window) - smallest + window]
    step = (slots[0] - window - smallest) // (num_layers - 1)
    while len(slots) < num_layers:
        slots.append(slots[-1] - step)
    return slots


@given(st.integers(30, 5000), st.integers(1, 30), st.integers(0, 20), st.integers(2, 80))
def test_a_pyramid_falls_in_the_releases_integers(capacity, beta, window, num_layers) -> None:
    expected = released(capacity, window, beta, num_layers)
    if min(expected) < 1:
        return
    memory = PyramidBudgets(RecencyMemory(capacity), beta, window, "released")
    assert budgets(memory, num_layers) == expected
    over = sum(expected) / num_layers - capacity
    assert 0 <= over <= (num_layers - 2) / 2
    assert 0 <= expected[-1] - window - (capacity - window) // beta <= num_layers - 2


def test_how_steep_a_pyramid_is() -> None:
    # 512 slots, 8 of them the window, as the release sets them, in 32 layers.
    def ends(rule: str) -> tuple[int, int]:
        found = budgets(PyramidBudgets(RecencyMemory(512), reserved=8, rule=rule), 32)
        return found[0] - 8, found[-1] - 8

    assert ends("paper") == (983, 25)
    assert ends("released") == (983, 53)
    assert budgets(PyramidBudgets(RecencyMemory(7), rule="released"), 1) == [7]


def test_remainders_go_to_the_largest_first_and_then_the_earliest() -> None:
    # 20/3 each: two of the three get one more.
    assert budgets(LayerBudgets(RecencyMemory(10), (1,)), 2) == [10, 10]
    assert budgets(LayerBudgets(RecencyMemory(5), (2, 1)), 3) == [7, 5, 3]
    assert budgets(LayerBudgets(RecencyMemory(4), (2, 1, 2)), 4) == [5, 3, 3, 5]
    assert budgets(PyramidBudgets(RecencyMemory(20)), 2) == [39, 1]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (LayerBudgets(StateKVMemory(9), (2, 1)), [12, 6]),
        (LayerBudgets(StateKVMemory(9), (1, 8)), [2, 16]),
        (PyramidBudgets(StateKVMemory(9), beta=3, reserved=3), [13, 5]),
        (PyramidBudgets(StateKVMemory(9), beta=4, reserved=3, rule="released"), [14, 4]),
    ],
    ids=repr,
)
def test_kept_slots_equal_the_oracle(equals_loops, best, memory, expected) -> None:
    equals_loops(memory, lambda heads: [best(h.mass(), expected[h.layer]) for h in heads])


def test_a_rule_that_looks_at_its_own_capacity_sees_its_layers(frames, open_session) -> None:
    wrapped = open_session(LayerBudgets(CoverageMemory(6), (2, 1)))
    plain = open_session(CoverageMemory(8))
    for frame in frames(*[3] * 12):
        wrapped.push(frame)
        plain.push(frame)
    # The first layer depends on nothing below it.
    assert wrapped.slots(0).index.tolist() == plain.slots(0).index.tolist()


def test_wrappers_inside_and_outside_follow(frames, open_session) -> None:
    smoothed = SmoothedScore(StateKVMemory(6), "sum")
    inside = LayerBudgets(AdaptiveHeadBudgets(smoothed, rule="kvpress"), (2, 1))
    shared = SmoothedScore(LayerBudgets(StateKVMemory(6), (2, 1)), "sum")
    outside = AdaptiveHeadBudgets(shared, rule="kvpress")
    first, second = open_session(inside), open_session(outside)
    for frame in frames(*[4] * 12):
        first.push(frame)
        second.push(frame)
        for layer in range(2):
            assert first.slots(layer).index.tolist() == second.slots(layer).index.tolist()
    assert [int((first.slots(n).index >= 0).sum()) for n in range(2)] == [16, 8]


def test_an_unbounded_memory_stays_unbounded() -> None:
    assert LayerBudgets(RecencyMemory(None), (3, 1)).budget(0, 2) is None
    assert PyramidBudgets(RecencyMemory(None)).limit(0, 2, 9) is None


def test_shares_from_a_configuration_file_are_a_list() -> None:
    memory = LayerBudgets(RecencyMemory(5), [3, 1])  # pyright: ignore[reportArgumentType]
    assert memory == LayerBudgets(RecencyMemory(5), (3, 1))


def test_a_layer_without_a_slot_is_refused_at_the_push(frames, open_session) -> None:
    session = open_session(PyramidBudgets(RecencyMemory(5)))
    with pytest.raises(ValueError, match=r"leaves no slot for layer 1 of 2 out of a capacity of 5"):
        session.push(frames(2))


def test_reserving_more_than_there_is_is_refused_when_asked() -> None:
    with pytest.raises(ValueError, match="reserved=9 is more than the capacity of 5"):
        PyramidBudgets(RecencyMemory(5), reserved=9).budget(0, 2)
