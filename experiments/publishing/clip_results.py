"""Runs on clips in docs/: a string of right and wrong for each cell, task and reading.

A row says a dozen numbers of every question; of what tables show, whether each was answered right
is enough, and a hundredth of the bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from statistics import fmean
from typing import Any

from ..evidence.results import Row

RIGHT, WRONG, UNASKED = "1", "0", "-"
COSTS = ("tokens", "decoder_flops", "decoder_ms", "state_bytes", "archive_bytes")


def compact_clips(rows: Sequence[Row]) -> dict[str, Any]:
    """Streams in order by suite, the age of what each task asked of them, and by cell its costs,
    means over clips, and the answers by suite, task and reading, a character a clip."""
    streams: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["question"] not in streams[row["suite"]]:
            streams[row["suite"]].append(row["question"])
    return {
        "streams": dict(streams),
        "ages": {suite: _ages(rows, suite, names) for suite, names in streams.items()},
        "cells": {
            cell: {suite: _cell(rows, cell, suite, names) for suite, names in streams.items()}
            for cell in dict.fromkeys(row["cell"] for row in rows)
        },
    }


def expanded_clips(result: Mapping[str, Any]) -> Iterator[Row]:
    """The rows again, as far as they were kept: one question of a task about a clip.

    Rows share what was told alike: of 400,000 answers a few hundred differ, and making each anew
    took as long as the tables.
    """
    shared = cache(_told_of)
    for cell, suites in result["cells"].items():
        for suite, told in suites.items():
            asked = [
                _asked(task, result["ages"][suite][task], readings, shared)
                for task, readings in told["answers"].items()
            ]
            for place, name in enumerate(result["streams"][suite]):
                row = {"cell": cell, "suite": suite, "question": name, **told["costs"]}
                each = (own[place] for own in asked)
                yield row | {"asked": dict(one for one in each if one is not None)}


def _ages(rows: Sequence[Row], suite: str, names: Sequence[str]) -> dict[str, list[int | None]]:
    by_name = {row["question"]: row["asked"] for row in rows if row["suite"] == suite}
    tasks = dict.fromkeys(task for asked in by_name.values() for task in asked)
    return {
        task: [by_name[name][task]["age"][0] if task in by_name[name] else None for name in names]
        for task in tasks
    }


def _cell(rows: Sequence[Row], cell: str, suite: str, names: Sequence[str]) -> dict[str, Any]:
    own = {r["question"]: r for r in rows if r["cell"] == cell and r["suite"] == suite}
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for task, reading in _told(own.values()):
        marks = (_mark(own[name], task, reading) for name in names)
        answers[task][reading] = "".join(marks)
    costs = {name: fmean(row[name] for row in own.values()) for name in COSTS}
    return {"costs": costs, "answers": dict(answers)}


def _told(rows: Any) -> dict[tuple[str, str], None]:
    """Tasks and readings of some rows, in order."""
    return dict.fromkeys(
        (task, field.removeprefix("right_"))
        for row in rows
        for task, asked in row["asked"].items()
        for field in asked
        if field.startswith("right_")
    )


def _mark(row: Row, task: str, reading: str) -> str:
    rights = row["asked"].get(task, {}).get(f"right_{reading}")
    return UNASKED if rights is None else RIGHT if rights[0] else WRONG


def _asked(
    task: str,
    ages: Sequence[int | None],
    readings: Mapping[str, str],
    told: Callable[..., Mapping[str, Any]],
) -> list[tuple[str, Mapping[str, Any]] | None]:
    """By clip the task with what was told; None where it was not asked."""
    names, marks = tuple(readings), zip(*readings.values(), strict=True)
    return [
        None if age is None else (task, told(age, names, own))
        for age, own in zip(ages, marks, strict=True)
    ]


def _told_of(age: int, readings: Sequence[str], marks: Sequence[str]) -> Mapping[str, Any]:
    rights = {f"right_{name}": [m == RIGHT] for name, m in zip(readings, marks, strict=True)}
    return {"age": [age], **rights}
