"""A run summed up: official scores, invalid replies, costs, differences to a reference; as data
and on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..benchmarks.question import Benchmark
from ..benchmarks.scores import mean, members, share
from ..reports.intervals import paired_difference
from ..reports.text import number, scale, some
from ..streaming.frames import told_flags
from .options import EvaluateOptions
from .rows import Row

STATUSES = ("answered", "invalid", "nonfinite", "missing", "unreadable")
COSTS = (
    *("frames", "tokens", "decoder_flops", "decoder_ms", "vision_ms", "ask_ms", "reply_tokens"),
    *("state_bytes", "archive_bytes"),
)
CLOSENESS = ("agreement", "kl_to_full")
NAMED = 5  # videos that are named on the terminal; the rest is in the summary

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
    frames: dict[str, int] = {}
    for row in rows:
        if count := row.get("flagged_frames"):
            frames[row["video"]] = max(frames.get(row["video"], 0), count)
    return frames


def summarise(
    rows: Iterable[Row], benchmark: Benchmark, cells: Sequence[str], reference: str | None = None
) -> Summary:
    """What each cell's rows say; cells without rows are left out.

    Per cell: `questions` (rows), `scores` (official, in percent, headline first; a question without
    a reply counts as wrong), `right` (percent of the questions, each counted once), `accuracy` over
    each way of grouping (micro, macro, each group), `counts` of each status, medians of the costs
    and means of the closeness over the questions that were asked, and the paired `difference` to
    the reference cell.
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
        "right": round(share(rows), 4),
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
    by_name = members([row for row in rows if group in row["groups"]], group)
    shares = {name: share(by_name[name]) for name in sorted(by_name)}
    every = list(chain.from_iterable(by_name.values()))
    percent = {"micro": share(every), "macro": mean(shares.values()), **shares}
    return {name: round(value, 4) for name, value in percent.items()}


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


def print_summary(summary: Outcome, folder: Path, console: Console) -> None:
    """A line per cell: headline score; the share of questions answered right, and its difference
    to the reference's with a 95 % interval; counts; median FLOPs. Then what is to know about the
    run."""
    if summary["cells"]:
        console.print(_table(summary["cells"]))
    for line in [*_remarks(summary), f"Rows and all scores: {folder}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(cells: Mapping[str, Mapping[str, Any]]) -> Table:
    headline = next(iter(next(iter(cells.values()))["scores"]))
    spent = {name: cell["decoder_flops"] for name, cell in cells.items()}
    prefix, unit = scale([flops for flops in spent.values() if flops is not None])
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column("cell", overflow="fold", min_width=12)
    # The paired difference is one of shares right; official scores may average over tasks.
    for head in (
        headline, "right, %", "right, points\nvs reference", "invalid", "no\nvideo",
        f"{prefix}FLOP",
    ):  # fmt: skip
        table.add_column(head, justify="right", no_wrap=True)
    for name, cell in cells.items():
        counts, flops = cell["counts"], spent[name]
        table.add_row(
            name,
            f"{cell['scores'][headline]:.2f}",
            f"{cell['right']:.2f}",
            _difference_text(cell["difference"]),
            str(counts["invalid"]),
            str(counts["missing"] + counts["unreadable"]),
            "" if flops is None else number(flops / unit),
        )
    return table


def _remarks(summary: Outcome) -> Iterator[str]:
    yield (
        f"{summary['questions']} questions, {summary['passes']} passes over videos; "
        f"{summary['shared']} questions shared another's pass"
    )
    if summary["owed"]:
        yield f"UNFINISHED: {summary['owed']} rows are owed; run the same command again"
    if summary["missing"]:
        yield f"No file of {len(summary['missing'])} videos: {some(summary['missing'], NAMED)}"
    for name, cell in summary["cells"].items():
        count = cell["counts"]["nonfinite"]
        if count:
            yield (
                f"NaN or Inf inside the model at {count} questions of {name}, "
                "counted as wrong: load it with dtype bfloat16 or float32 (float16 overflows)"
            )
    for video, why in list(summary["unreadable"].items())[:NAMED]:
        yield f"Cannot be read: {video}: {why}"
    for video, count in list(summary["flagged"].items())[:NAMED]:
        yield f"Damaged: {video}: {told_flags(count)}"


def _difference_text(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return ""
    return f"{difference['points']:+.2f} [{difference['low']:+.2f}, {difference['high']:+.2f}]"
