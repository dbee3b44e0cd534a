"""A run's summary on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..streaming.frames import told_flags
from .summary import Outcome

NAMES = 5  # videos that are named; the rest is in the summary


def print_summary(found: Outcome, folder: Path, console: Console) -> None:
    """A line per cell: headline score, difference to the reference with its 95 % interval, counts,
    median FLOPs. Then what is to know about the run."""
    if found["cells"]:
        console.print(_table(found["cells"]))
    for line in [*_remarks(found), f"Rows and all scores: {folder}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(cells: Mapping[str, Mapping[str, Any]]) -> Table:
    headline = next(iter(next(iter(cells.values()))["scores"]))
    table = Table(show_edge=False)
    names = (headline, "vs reference", "invalid", "no video", "FLOPs")
    table.add_column("cell", overflow="fold", min_width=12)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for name, cell in cells.items():
        counts = cell["counts"]
        table.add_row(
            name,
            f"{cell['scores'][headline]:.2f}",
            _difference(cell["difference"]),
            str(counts["invalid"]),
            str(counts["missing"] + counts["unreadable"]),
            "" if cell["decoder_flops"] is None else f"{cell['decoder_flops']:.3g}",
        )
    return table


def _remarks(found: Outcome) -> Iterator[str]:
    yield (
        f"{found['questions']} questions, {found['passes']} passes over videos; "
        f"{found['shared']} questions shared another's pass"
    )
    if found["owed"]:
        yield f"UNFINISHED: {found['owed']} rows are owed; run the same command again"
    if found["missing"]:
        yield f"No file of {len(found['missing'])} videos: {_some(found['missing'])}"
    for name, cell in found["cells"].items():
        count = cell["counts"]["nonfinite"]
        if count:
            yield (
                f"NaN or Inf inside the model at {count} questions of {name}, "
                "counted as wrong: load it with dtype bfloat16 or float32 (float16 overflows)"
            )
    for video, why in list(found["unreadable"].items())[:NAMES]:
        yield f"Cannot be read: {video}: {why}"
    for video, count in list(found["flagged"].items())[:NAMES]:
        yield f"Damaged: {video}: {told_flags(count)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES
    return ", ".join(names[:NAMES]) + (f" and {more} more" if more > 0 else "")


def _difference(found: Mapping[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['points']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
