"""The grid of what is written and what is read, from cells called "memory × reader"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..reports.tables import Table
from ..reports.text import formatted
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
    readers = [*dict.fromkeys(c.partition(TIMES)[2] for c in results.config["cells"] if TIMES in c)]
    return [
        Table(
            name,
            heading,
            ["memory", "all", *readers, "carried"],
            list(_lines(results, ["", *(TIMES + reader for reader in readers)], whole, carried)),
            f"Means over {results.streams(whole.suite)} streams; written down, read across.",
        )
        for name, heading, whole, carried in PAIRS
        if results.has(whole)
    ]


def _lines(
    results: Results, endings: Sequence[str], whole: Measure, carried: Measure
) -> Iterator[list[str]]:
    read, held = (results.table(measure).mean() for measure in (whole, carried))
    for memory in results.config["cells"]:
        if TIMES not in memory:
            means = [*(read.get(memory + ending) for ending in endings), held.get(memory)]
            yield [memory, *(formatted(mean, ".3f", "") for mean in means)]
