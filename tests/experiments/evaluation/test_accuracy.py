"""Accuracy by group against plain counting and against torchmetrics' own."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy

from crossframe.experiments.evaluation.accuracy import GroupedAccuracy

GROUPS = ["a", "b", "c", "d"]
answers = st.lists(st.tuples(st.booleans(), st.sampled_from(GROUPS)), min_size=1, max_size=60)


def counted(told: list[tuple[bool, str]], batch: int = 60) -> dict[str, float]:
    metric = GroupedAccuracy(GROUPS)
    for start in range(0, len(told), batch):
        part = told[start : start + batch]
        metric.update([right for right, _ in part], [group for _, group in part])
    return {name: float(share) for name, share in metric.compute().items()}


@given(answers, st.integers(1, 60))
def test_shares_are_those_of_plain_counting_however_answers_arrive(
    told: list[tuple[bool, str]], batch: int
) -> None:
    by_group: dict[str, list[bool]] = {}
    for right, group in told:
        by_group.setdefault(group, []).append(right)
    shares = {group: 100 * sum(some) / len(some) for group, some in by_group.items()}
    expected = {
        "micro": 100 * sum(right for right, _ in told) / len(told),
        "macro": sum(shares.values()) / len(shares),
        **shares,
    }
    assert counted(told, batch) == pytest.approx(expected, rel=1e-5)


@given(answers)
def test_macro_is_torchmetrics_mean_over_classes(told: list[tuple[bool, str]]) -> None:
    target = torch.tensor([GROUPS.index(group) for _, group in told])
    # A wrong answer is a prediction of some class that is never a target.
    predicted = torch.where(torch.tensor([right for right, _ in told]), target, len(GROUPS))
    theirs = MulticlassAccuracy(num_classes=len(GROUPS) + 1, average=None)(predicted, target)
    asked = [GROUPS.index(group) for group in GROUPS if any(name == group for _, name in told)]
    found = counted(told)
    assert found["macro"] == pytest.approx(100 * float(theirs[asked].mean()), rel=1e-5)
    for number in asked:
        assert found[GROUPS[number]] == pytest.approx(100 * float(theirs[number]), rel=1e-5)


def test_groups_without_questions_are_left_out() -> None:
    assert counted([(True, "a"), (False, "a")]) == {"micro": 50.0, "macro": 50.0, "a": 50.0}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_any_question_nothing_is_claimed() -> None:
    found = counted([])
    assert found.keys() == {"micro", "macro"}
    assert all(isnan(share) for share in found.values())


def test_counts_do_not_stop_where_float32_would() -> None:
    metric = GroupedAccuracy(["a"])
    metric.asked += 2**24
    metric.update([True], ["a"])
    assert int(metric.asked) == 2**24 + 1


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown group 'x'; known are"):
        GroupedAccuracy(GROUPS).update([True], ["x"])


def test_another_process_is_waited_for_only_on_request() -> None:
    assert GroupedAccuracy(GROUPS).sync_on_compute
    assert not GroupedAccuracy(GROUPS, sync_on_compute=False).sync_on_compute
