"""`crossframe evidence`: the suites on a real decoder, resumable at any moment, to one page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..comparison.table import print_table
from ..evaluation.folder import CONFIG
from ..evaluation.rows import Key, key_of, read_rows
from ..reports.tables import Table
from ..streaming.frames import progress_bar
from .clip_measures import tasks_in
from .clip_table import answers_tables, clip_sizes_tables
from .options import EvidenceOptions
from .page import read_results, write_page
from .results import Results
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
    for table in glance(results):
        print_table(table.heads, table.lines, console)
        console.print(table.caption, markup=False, highlight=False)
    return write_page(results, options.output)


def glance(results: Results) -> list[Table]:
    """What is shown first: of one size every memory, of several the sizes side by side."""
    several = len(results.by_size()) > 1
    if tasks_in(results):
        return [*(clip_sizes_tables([results]) if several else answers_tables(results))]
    return [sizes_table([results]) if several else short_table(results)]


def parts_owed(options: EvidenceOptions) -> int:
    """How many times `run_evidence` will tell of a batch that a cell has passed."""
    started = (options.output / CONFIG).is_file()
    done = {key_of(row) for row in read_rows(options.output)} if started else set[Key]()
    return sum(len(cells) for _, _, cells in owing(options, done))
