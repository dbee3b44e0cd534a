"""The Pareto front against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from crossframe.experiments.ablation.tradeoff import front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


def beaten(point: tuple[int, int], other: tuple[int, int]) -> bool:
    return other != point and other[0] <= point[0] and other[1] >= point[1]


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    found = front([cost for cost, _ in points], [value for _, value in points])
    expected = [
        place for place, point in enumerate(points) if not any(beaten(point, o) for o in points)
    ]
    assert sorted(found) == expected
    costs = [points[place][0] for place in found]
    assert costs == sorted(costs)


def test_nothing_has_no_front() -> None:
    assert front([], []) == []
