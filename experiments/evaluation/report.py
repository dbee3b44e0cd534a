"""A run's summary on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .summary import Outcome

SCORES = 4  # columns; the rest is in the file
NAMES = 5  # videos that are named; the rest is in the rows


def print_summary(found: Outcome, folder: Path, console: Console) -> None:
    """Scores, counts and the difference to the reference, a line per cell; then what is to know."""
    if found["cells"]:
        console.print(_table(found["cells"]))
    for line in [*_remarks(found), f"Rows and summary: {folder}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(cells: dict[str, dict[str, Any]]) -> Table:
    table = Table(show_edge=False)
    scores = list(next(iter(cells.values()))["scores"])[:SCORES]
    for column in ("cell", *scores, "vs reference", "answered", "invalid", "no video"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for name, cell in cells.items():
        counts = cell["counts"]
        shown = [f"{cell['scores'][score]:.2f}" for score in scores]
        numbers = (
            counts["answered"], counts["invalid"], counts["missing"] + counts["unreadable"],
        )  # fmt: skip
        table.add_row(name, *shown, _difference(cell["difference"]), *map(str, numbers))
    return table


def _remarks(found: Outcome) -> Iterator[str]:
    yield (
        f"{found['questions']} questions, {found['passes']} passes over videos; "
        f"{found['shared']} questions shared one that another needs anyway"
    )
    if found["owed"]:
        yield f"UNFINISHED: {found['owed']} rows are owed; run the same command again"
    if found["missing"]:
        yield f"No file of {len(found['missing'])} videos: {_some(found['missing'])}"
    for video, why in list(found["unreadable"].items())[:NAMES]:
        yield f"Cannot be read: {video}: {why}"


def _some(names: list[str]) -> str:
    more = len(names) - NAMES
    return ", ".join(names[:NAMES]) + (f" and {more} more" if more > 0 else "")


def _difference(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['points']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
