"""`crossframe evidence`: the suites on a real decoder, resumable at any moment, to one page."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from ..comparison.table import WIDE
from ..evaluation.folder import CONFIG
from ..evaluation.rows import read_rows
from ..streaming.frames import progress_bar
from .options import EvidenceOptions
from .page import read_results, write_page
from .run import run_evidence
from .table import Table, short_table, sizes_table


def evidence(options: EvidenceOptions, messages: Console, console: Console) -> Path:
    """Write the rows that are owed, then tables, figures and the page.

    Args:
        messages: takes progress.
        console: takes the table.

    Returns:
        The path of the page.

    Raises:
        ValueError: for settings that cannot work, as `run_evidence` does.
    """
    with progress_bar(messages) as bar:
        task = bar.add_task("loading the model", total=parts_owed(options))

        def say(line: str) -> None:
            bar.update(task, advance=1, description=line)
            if not messages.is_terminal:
                messages.print(line, markup=False, highlight=False)

        run_evidence(options, say)
    results = read_results(options.output)
    sizes = list(results.by_size())
    table = short_table(results) if len(sizes) == 1 else sizes_table([results])
    print_table(table, console)
    return write_page(results, options.output)


def parts_owed(options: EvidenceOptions) -> int:
    """How many times `run_evidence` will tell of a batch that a cell has passed."""
    started = (options.output / CONFIG).is_file()
    rows = read_rows(options.output) if started else []
    done = {(row["cell"], row["question"]) for row in rows}
    owed = {
        (cell, suite, seed // options.batch)
        for cell in options.cells
        for suite in options.suites
        for seed in range(options.streams)
        if (cell, f"{suite}/{options.half}/{options.tokens}/{seed}") not in done
    }
    return len(owed)


def print_table(table: Table, console: Console) -> None:
    """The table as wide as its cells, and what its columns mean."""
    if not console.is_terminal:
        console.width = max(console.width, 2 * WIDE)  # a log file has no edge
    shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, head in enumerate(table.heads):
        shown.add_column(head, justify="right" if place else "left", overflow="fold")
    for line in table.lines:
        shown.add_row(*line)
    console.print(shown)
    console.print(table.caption, markup=False, highlight=False)
