"""What a run's rows say: official scores, invalid replies, costs, differences to a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

from ..benchmarks.question import Benchmark
from ..benchmarks.scores import AND
from ..reports.intervals import paired_difference
from .accuracy import GroupedAccuracy
from .options import EvaluateOptions
from .rows import Row

STATUSES = ("answered", "invalid", "nonfinite", "missing", "unreadable")
COSTS = (
    *("frames", "tokens", "decoder_flops", "decoder_ms", "vision_ms", "ask_ms", "reply_tokens"),
    *("state_bytes", "archive_bytes"),
)
CLOSENESS = ("agreement", "kl_to_full")

Summary = dict[str, dict[str, Any]]
Outcome = dict[str, Any]


def outcome(
    rows: Sequence[Row], options: EvaluateOptions, *, questions: int, config: str
) -> Outcome:
    """What `summary.json` holds.

    Besides `cells` (see `summarise`): `questions` of the benchmark, `owed` rows that are not there
    yet, `passes` over videos and questions answered by one that another needs anyway (`shared`),
    names of `missing` videos and the reason for each `unreadable` one, the `flagged` videos with
    the number of frames that FFmpeg flags as damaged, the `commits` rows come from.
    """
    streams = {row["question"]: row["pass"] for row in rows if "pass" in row}
    passes = len(set(streams.values()))
    return {
        "benchmark": options.benchmark.name,
        "config": config,
        "commits": sorted({str(row["commit"]) for row in rows}),
        "questions": questions,
        "owed": questions * len(options.cells) - len(rows),
        "passes": passes,
        "shared": len(streams) - passes,
        "missing": sorted({row["video"] for row in rows if row["status"] == "missing"}),
        "unreadable": {row["video"]: row["why"] for row in rows if row["status"] == "unreadable"},
        "flagged": flagged_videos(rows),
        "cells": summarise(rows, options.benchmark, list(options.cells), options.reference),
    }


def flagged_videos(rows: Iterable[Row]) -> dict[str, int]:
    """Frames that FFmpeg flags as damaged, by video, of those that have some; as many as were
    decoded for the question that needed most."""
    found: dict[str, int] = {}
    for row in rows:
        if count := row.get("flagged_frames"):
            found[row["video"]] = max(found.get(row["video"], 0), count)
    return found


def summarise(
    rows: Iterable[Row], benchmark: Benchmark, cells: Sequence[str], reference: str | None = None
) -> Summary:
    """What each cell's rows say; cells without rows are left out.

    Per cell: `questions` (rows), `scores` (official, in percent, headline first; a question without
    a reply counts as wrong), `accuracy` over each way of grouping (micro, macro, each group),
    `counts` of each status, medians of the costs and means of the closeness over the questions that
    were asked, and the paired `difference` to the reference cell.
    """
    by_cell: dict[str, list[Row]] = {name: [] for name in cells}
    for row in rows:
        by_cell[row["cell"]].append(row)
    against = by_cell[reference] if reference else []
    return {
        name: _of_cell(own, benchmark, [] if name == reference else against)
        for name, own in by_cell.items()
        if own
    }


def _of_cell(rows: Sequence[Row], benchmark: Benchmark, against: Sequence[Row]) -> dict[str, Any]:
    counted = Counter(row["status"] for row in rows)
    names = sorted({name for row in rows for name in row["groups"]})
    return {
        "questions": len(rows),
        "scores": benchmark.score(rows),
        "accuracy": {name: accuracies(rows, name) for name in names},
        "counts": {status: counted[status] for status in STATUSES},
        **{name: _over(rows, name, median) for name in COSTS},
        **{name: _over(rows, name, fmean) for name in CLOSENESS},
        "difference": _difference(rows, against),
    }


def accuracies(rows: Iterable[Row], group: str) -> dict[str, float]:
    """Micro, macro and per-group accuracy in percent over one way of grouping.

    A row whose name joins several groups counts in each of them, and so several times in "micro".
    """
    told = [
        (name, row["correct"])
        for row in rows
        if group in row["groups"]
        for name in row["groups"][group].split(AND)
    ]
    # The rows are those of all processes already.
    metric = GroupedAccuracy(sorted({name for name, _ in told}), sync_on_compute=False)
    metric.update((right for _, right in told), (name for name, _ in told))
    return {name: round(float(share), 4) for name, share in metric.compute().items()}


def _over(rows: Iterable[Row], name: str, average: Callable[[list[float]], float]) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(average(values)) if values else None


def _difference(rows: Sequence[Row], against: Sequence[Row]) -> dict[str, float] | None:
    """Over the questions that both have rows of."""
    other = {row["question"]: row["correct"] for row in against}
    both = [row for row in rows if row["question"] in other]
    if not both:
        return None
    theirs = [other[row["question"]] for row in both]
    videos = [row["video"] for row in both]
    return asdict(paired_difference([row["correct"] for row in both], theirs, videos))
