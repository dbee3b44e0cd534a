"""The grid of what is written and what is read, from cells called "memory × reader"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from ..reports.tables import Table
from .measures import CONTINUATION, CONTINUATION_CARRIED, NEEDLE, NEEDLE_CARRIED
from .results import Measure, Results

TIMES = " × "  # between memory and reader in the name of a cell
PAIRS = (
    ("needles", "Facts found, share of right choices", NEEDLE, NEEDLE_CARRIED),
    ("continuation", "KL to full attention behind the stream", CONTINUATION, CONTINUATION_CARRIED),
)


def grid_tables(results: Results) -> list[Table]:
    """Needles and continuation: a row per memory, a column per reader.

    A cell without a reader of its own reads the whole archive, and says what is carried besides.
    """
    cells = list(results.config["cells"])
    memories = [cell for cell in cells if TIMES not in cell]
    readers = list(dict.fromkeys(c.partition(TIMES)[2] for c in cells if TIMES in c))
    return [
        Table(
            name,
            heading,
            ["memory", "all", *readers, "carried"],
            [_line(results, memory, readers, whole, carried) for memory in memories],
            f"Means over {results.streams(whole.suite)} streams; written down, read across.",
        )
        for name, heading, whole, carried in PAIRS
        if results.has(whole)
    ]


def _line(
    results: Results, memory: str, readers: Sequence[str], whole: Measure, carried: Measure
) -> list[str]:
    named = [memory, *(f"{memory}{TIMES}{reader}" for reader in readers)]
    values = [_mean(results, cell, whole.suite, whole.of) for cell in named]
    return [memory, *values, _mean(results, memory, carried.suite, carried.of)]


def _mean(results: Results, cell: str, suite: str, of: Callable[..., float | None]) -> str:
    rows = [row for row in results.rows if row["cell"] == cell and row["suite"] == suite]
    values = [value for row in rows if (value := of(row)) is not None]
    return f"{fmean(values):.3f}" if values else ""
