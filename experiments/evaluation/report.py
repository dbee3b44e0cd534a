"""A run's summary on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from .summary import Summary


def print_summary(summary: Summary, folder: Path, console: Console) -> None:
    """Scores, counts and the difference to the reference, a line per cell."""
    table = Table(title=None, show_edge=False)
    scores = list(next(iter(summary.values()))["scores"]) if summary else []
    for column in ("cell", *scores[:4], "vs reference", "answered", "invalid", "no video"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for name, found in summary.items():
        counts = found["counts"]
        shown = [f"{found['scores'][score]:.2f}" for score in scores[:4]]
        gone = counts["missing"] + counts["unreadable"]
        numbers = [str(number) for number in (counts["answered"], counts["invalid"], gone)]
        table.add_row(name, *shown, _difference(found["difference"]), *numbers)
    console.print(table)
    where = f"Rows and summary: {folder}"
    console.print(where, markup=False, highlight=False, soft_wrap=True)


def _difference(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['points']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
