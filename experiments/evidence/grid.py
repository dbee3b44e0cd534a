"""The grid of what is written and what is read, from cells called "memory × reader"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..reports.tables import Table
from ..reports.text import formatted
from .clip_measures import learnt, overall
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
    return [
        _grid(results, name, heading, whole, carried)
        for name, heading, whole, carried in PAIRS
        if results.has(whole)
    ]


def clip_grid_table(results: Results) -> Table:
    """The same of clips: the mean over the tasks that full attention has learnt.

    Raises:
        ValueError: for a run in which it has learnt none.
    """
    tasks = learnt(results)
    if not tasks:
        raise ValueError("full attention has learnt no task of this run: show a trained model")
    whole, carried = (overall(tasks, reading) for reading in ("archive", "carried"))
    table = _grid(results, "clips", "Share answered right", whole, carried)
    told = ", ".join(task.replace("_", " ") for task in tasks)
    return replace(table, caption=f"{table.caption} Clips of {results.length}; mean over {told}.")


def _grid(results: Results, name: str, heading: str, whole: Measure, carried: Measure) -> Table:
    readers = [*dict.fromkeys(c.partition(TIMES)[2] for c in results.config["cells"] if TIMES in c)]
    endings = ["", *(TIMES + reader for reader in readers)]
    caption = f"Means over {results.streams(whole.suite)} streams; written down, read across."
    heads = ["memory", "all", *readers, "carried"]
    return Table(name, heading, heads, list(_lines(results, endings, whole, carried)), caption)


def _lines(
    results: Results, endings: Sequence[str], whole: Measure, carried: Measure
) -> Iterator[list[str]]:
    read, held = (results.table(measure).mean() for measure in (whole, carried))
    for memory in results.config["cells"]:
        if TIMES not in memory:
            means = [*(read.get(memory + ending) for ending in endings), held.get(memory)]
            yield [memory, *(formatted(mean, ".3f", "") for mean in means)]
