"""Weight statistics against plain loops: what is summed, over which heads, in how many passes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from crossframe.framework.testing import check_memory
from crossframe.methods import QueryRows, WeightStatisticMemory

from ..loops import moved

Rows = Sequence[Sequence[float]]


def statistic(name: str, rows: Rows, place: int, values: Rows) -> float:
    column = [row[place] for row in rows]
    if name == "max":
        return max(column)
    if name == "squares":
        return sum(weight**2 for weight in column)
    if name == "output_change":
        return sum(moved(row, place, values) for row in rows)
    return sum(column)


@pytest.mark.parametrize("heads", ["group", "group_max", "layer"])
@pytest.mark.parametrize("name", ["sum", "max", "squares", "output_change"])
def test_kept_slots_equal_the_oracle(equals_loops, best, name: str, heads: str) -> None:
    def scores(head) -> list[float]:
        values = [slot.value for slot in head.slots]
        groups = [[row for rows in head.weights for row in rows]]
        if heads == "group_max":
            groups = list(head.weights)
        places = range(len(head.slots))
        return [max(statistic(name, rows, place, values) for rows in groups) for place in places]

    def rule(layer) -> list[list[int]]:
        each = [scores(head) for head in layer]
        if heads == "layer":
            together = max if name == "max" else sum
            each = [[together(column) for column in zip(*each, strict=True)]] * len(layer)
        return [best(score, 9) for score in each]

    equals_loops(WeightStatisticMemory(9, name, heads), rule)


PAIRS = [("sum", "group_max"), ("max", "layer"), ("squares", "group"), ("output_change", "layer")]


@pytest.mark.parametrize(("name", "heads"), PAIRS)
def test_every_law_holds(name: str, heads: str) -> None:
    unbounded = WeightStatisticMemory(None, name, heads)
    check_memory(WeightStatisticMemory(5, name, heads), unbounded=unbounded, max_examples=2)


def test_a_frame_longer_than_a_chunk_of_rows_is_summed_whole(frames, open_session) -> None:
    one_pass, again = (WeightStatisticMemory(40, "max", heads) for heads in ("group", "group_max"))
    sessions = [open_session(memory) for memory in (one_pass, again)]
    for frame in frames(150, 70):
        for session in sessions:
            session.push(frame)
    # The largest of a group's weights is the largest of its heads' largest.
    assert torch.equal(*(session.slots(1).index for session in sessions))


def test_only_what_is_needed_is_asked_of_attention() -> None:
    assert WeightStatisticMemory(5, "sum").needs_mass
    assert WeightStatisticMemory(5, "max").reductions == ("max",)
    squares = WeightStatisticMemory(5, "squares", "layer")
    assert squares.reductions == ("squares",) and not squares.needs_mass
    for name in ("sum", "output_change"):
        assert not WeightStatisticMemory(5, name, "group_max").looks_at_weights


def test_chosen_rows_alone_are_squared(equals_scores) -> None:
    def scores(head) -> list[float]:
        rows = [group[-1] for group in head.weights]
        return [sum(weight**2 for weight in column) for column in zip(*rows, strict=True)]

    equals_scores(QueryRows(WeightStatisticMemory(9, "squares"), "last"), scores)
