"""`crossframe evidence`: the suites on a real decoder, resumable at any moment, to one page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..comparison.table import print_table
from ..evaluation.folder import CONFIG
from ..evaluation.rows import Key, key_of, read_rows
from ..streaming.frames import progress_bar
from .options import EvidenceOptions
from .page import read_results, write_page
from .run import owing, run_evidence
from .table import short_table, sizes_table


def evidence(options: EvidenceOptions, messages: Console, console: Console) -> Path:
    """Write the rows that are owed, then tables, figures and the page; its path. Progress goes to
    `messages`, the table to `console`.

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
    print_table(table.heads, table.lines, console)
    console.print(table.caption, markup=False, highlight=False)
    return write_page(results, options.output)


def parts_owed(options: EvidenceOptions) -> int:
    """How many times `run_evidence` will tell of a batch that a cell has passed."""
    started = (options.output / CONFIG).is_file()
    done = {key_of(row) for row in read_rows(options.output)} if started else set[Key]()
    return sum(len(cells) for _, _, cells in owing(options, done))
