"""What rows of clips are compared by: the share of questions answered right, by task and age."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from statistics import fmean

from ..testbed.tasks import TASKS
from .clips import STAGES
from .results import Measure, Results, Row

LEARNT = 0.9  # of a task's questions that full attention answers right; others tell nothing
READINGS = {"archive": "whole archive", "carried": "carried slots"}
EVER = (0, 2**31)
AGES = ((1, 4), (5, 8), (9, 16), (17, 32), (33, 64), (65, 128), (129, 256), (257, 512))


@cache
def answered(task: str, reading: str, ages: tuple[int, int] = EVER) -> Measure:
    """Questions of a task answered right from what a reading gives.

    Args:
        reading: one of `READINGS`, or "blind".
        ages: frames since the last evidence, (least, most).
    """

    def value(row: Row) -> float | None:
        return _share(row, task, field, ages)

    field = f"right_{reading}"
    suite = next(suite for suite, stage in STAGES.items() if stage == TASKS[task].stage)
    head = task.replace("_", " ")
    name = f"{task}_{reading}"
    if ages[0]:
        head, name = f"{ages[0]}–{ages[1]}", f"{name}_{ages[0]}_{ages[1]}"
    return Measure(name, suite, head, value, lower_is_better=False)


@cache
def overall(tasks: tuple[str, ...], reading: str) -> Measure:
    """The mean over tasks of the first one's suite, each counted alike; of those that a clip has
    questions of."""

    def value(row: Row) -> float | None:
        shares = [_share(row, task, field, EVER) for task in tasks]
        told = [share for share in shares if share is not None]
        return fmean(told) if told else None

    field = f"right_{reading}"
    suite = answered(tasks[0], reading).suite
    return Measure(f"overall_{reading}", suite, "mean", value, lower_is_better=False)


def tasks_in(results: Results) -> list[str]:
    """Tasks that a run asks about."""
    return [task for task in TASKS if results.has(answered(task, "archive"))]


def learnt(results: Results) -> tuple[str, ...]:
    """Tasks that full attention has learnt; memories are ranked by these."""
    return results.once("learnt", lambda: _learnt(results))


def share_of_full(results: Results, task: str) -> float:
    """What full attention answers right of a task."""
    return float(results.table(answered(task, "archive")).mean().get(results.reference, 0.0))


def aged(results: Results) -> list[str]:
    """Learnt tasks that have a delay as their knob, if their evidence is of several ages."""
    return [
        task
        for task in learnt(results)
        if "delay" in vars(TASKS[task]) and len(asked_by_age(results, task)) > 1
    ]


def asked_by_age(results: Results, task: str) -> dict[tuple[int, int], int]:
    """How many questions of a task have evidence of which age; of those that there are."""
    ages = [
        age
        for row in results.rows
        if row["cell"] == results.reference
        for age in row["asked"].get(task, {}).get("age", ())
    ]
    counts = {(least, most): sum(least <= age <= most for age in ages) for least, most in AGES}
    return {bounds: count for bounds, count in counts.items() if count}


def clip_measures(results: Results) -> Iterator[Measure]:
    """All that a run of clips tells."""
    tasks = learnt(results)
    for reading in READINGS:
        if tasks:
            yield overall(tasks, reading)
        yield from (answered(task, reading) for task in tasks)


def _learnt(results: Results) -> tuple[str, ...]:
    return tuple(task for task in tasks_in(results) if share_of_full(results, task) >= LEARNT)


def _share(row: Row, task: str, field: str, ages: tuple[int, int]) -> float | None:
    asked = row["asked"].get(task)
    if asked is None or field not in asked:
        return None
    each = zip(asked["age"], asked[field], strict=True)
    rights = [right for age, right in each if ages[0] <= age <= ages[1]]
    # Most clips ask one question of a task, whose share needs no division.
    return float(rights[0]) if len(rights) == 1 else fmean(rights) if rights else None
