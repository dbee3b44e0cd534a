"""What rows say, computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy

from crossframe.experiments.benchmarks import LVBench, VideoMME
from crossframe.experiments.evaluation.rows import Row
from crossframe.experiments.evaluation.summary import STATUSES, accuracies, outcome, summarise

from .conftest import MakeOptions

GROUPS = {"domain": "Life", "sub_category": "Food", "task_type": "Counting"}


def row(cell: str, question: str, correct: bool, **more: Any) -> Row:
    told = {
        "status": "answered",
        "video": question[0],
        "groups": {**GROUPS, "duration": "short" if question[0] == "a" else "long"},
        "commit": "abc",
        "pass": question[0],
        "decoder_flops": 10,
        "frames": 4,
    }
    return {"cell": cell, "question": question, "correct": correct, **told, **more}


ROWS = [
    row("full", "a1", True, decoder_flops=10, kl_to_full=0.0, agreement=1.0),
    row("full", "a2", False, decoder_flops=30, kl_to_full=0.0, agreement=1.0),
    row("full", "b1", True, decoder_flops=50, kl_to_full=0.0, agreement=1.0),
    row("window", "a1", True, decoder_flops=5, kl_to_full=0.5, agreement=0.5),
    row("window", "a2", True, decoder_flops=5, kl_to_full=None, agreement=0.0, status="invalid"),
    row("window", "b1", False, decoder_flops=8, kl_to_full=1.5, agreement=1.0),
]
REFUSED = [
    {
        **{k: v for k, v in row(cell, "c1", False).items() if k in ("cell", "question", "groups")},
        "video": "c",
        "correct": False,
        "commit": "abc-dirty",
        "status": status,
        "why": why,
    }
    for cell, status, why in (("full", "missing", "gone"), ("window", "unreadable", "torn"))
]


def told(**counts: int) -> dict[str, int]:
    return {**dict.fromkeys(STATUSES, 0), **counts}


def test_scores_counts_costs_and_differences() -> None:
    found = summarise([*ROWS, *REFUSED], VideoMME(Path()), ["full", "window", "none"], "full")
    assert list(found) == ["full", "window"]
    full, window = found["full"], found["window"]
    assert full["questions"] == window["questions"] == 4
    assert full["scores"]["accuracy"] == window["scores"]["accuracy"] == 50.0
    assert next(iter(full["scores"])) == "accuracy"
    # Of the four, a1 and a2 are short; c1, without a video, counts as wrong.
    assert full["accuracy"]["duration"] == {"micro": 50, "macro": 50, "short": 50, "long": 50}
    assert window["accuracy"]["duration"] == {"micro": 50, "macro": 50, "short": 100, "long": 0}
    assert full["counts"] == told(answered=3, missing=1)
    assert window["counts"] == told(answered=2, invalid=1, unreadable=1)
    assert (full["decoder_flops"], window["decoder_flops"]) == (30.0, 5.0)  # medians
    assert (window["kl_to_full"], window["agreement"]) == (1.0, 0.5)  # means of what there is
    assert full["tokens"] is None
    assert full["difference"] is None
    difference = window["difference"]
    assert (difference["points"], difference["gained"], difference["lost"]) == (0.0, 1, 1)
    assert difference["p_value"] == 1.0
    assert difference["low"] < 0 < difference["high"]


def test_a_difference_is_over_the_questions_that_both_have() -> None:
    of = VideoMME(Path()), ["full", "window"]
    assert summarise(ROWS[:5], *of, "full")["window"]["difference"]["points"] == 50.0
    assert summarise(ROWS, *of)["window"]["difference"] is None  # without a reference


def test_a_question_of_several_groups_counts_in_each() -> None:
    rows = [
        {"correct": True, "groups": {"question_type": "entity; event", "type": "x"}},
        {"correct": False, "groups": {"question_type": "event", "type": "x"}},
        {"correct": False, "groups": {"type": "x"}},
    ]
    found = accuracies(rows, "question_type")
    assert found == pytest.approx({"micro": 200 / 3, "macro": 75, "entity": 100, "event": 50}, 1e-5)
    score = LVBench(Path()).score(rows[:2])
    assert score["question_type/event"] == found["event"]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=60))
def test_accuracies_are_those_of_plain_counting_and_of_torchmetrics(
    answers: list[tuple[bool, str]],
) -> None:
    accuracy = accuracies([{"correct": c, "groups": {"g": name}} for c, name in answers], "g")
    by_group: dict[str, list[bool]] = {}
    for correct, name in answers:
        by_group.setdefault(name, []).append(correct)
    shares = {name: 100 * sum(some) / len(some) for name, some in by_group.items()}
    micro, macro = (
        100 * sum(c for c, _ in answers) / len(answers),
        sum(shares.values()) / len(shares),
    )
    assert accuracy == pytest.approx({"micro": micro, "macro": macro, **shares}, abs=1e-4)
    # A wrong answer is a prediction of some class that is never a target.
    target = torch.tensor(["abcd".index(name) for _, name in answers])
    predicted = torch.where(torch.tensor([correct for correct, _ in answers]), target, 4)
    theirs = MulticlassAccuracy(num_classes=5, average=None)(predicted, target)
    own = theirs[["abcd".index(name) for name in by_group]]
    assert macro == pytest.approx(100 * float(own.mean()), rel=1e-5)


def test_the_whole_outcome(options: MakeOptions) -> None:
    chosen = options(name="videomme", cells={"full": None, "window": None}, reference="full")
    found = outcome([*ROWS, *REFUSED], chosen, questions=5, config="c0ffee")
    assert (found["questions"], found["owed"]) == (5, 2)
    assert (found["passes"], found["shared"]) == (2, 1)
    assert (found["missing"], found["unreadable"]) == (["c"], {"c": "torn"})
    assert (found["benchmark"], found["config"]) == ("videomme", "c0ffee")
    assert found["commits"] == ["abc", "abc-dirty"]
    assert found["cells"].keys() == {"full", "window"}
    assert outcome([], chosen, questions=5, config="c0ffee")["cells"] == {}
