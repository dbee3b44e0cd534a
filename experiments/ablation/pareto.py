"""The Pareto front: what nothing beats at its cost."""

from __future__ import annotations

from collections.abc import Sequence


def front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of the points that no other point beats, by rising cost.

    A point is beaten by one that costs no more and is worth no less, and differs in one of them;
    of equal points all stay.
    """
    points = list(zip(costs, values, strict=True))
    order = sorted(range(len(points)), key=lambda place: (costs[place], -values[place]))
    found: list[int] = []
    for place in order:
        if not found or values[place] > values[found[-1]] or points[place] == points[found[-1]]:
            found.append(place)
    return found
