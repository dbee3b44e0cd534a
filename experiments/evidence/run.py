"""The suites on a model, stream by stream; resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing

from ..evaluation.folder import cell_hashes, run_folder
from ..evaluation.rows import Key, Row, RowFile, key_of, read_rows
from ..streaming.environment import commit, machine_of
from .clip_trial import ClipTrial
from .options import EvidenceOptions
from .text_trial import TextTrial

Say = Callable[[str], object]


def run_evidence(options: EvidenceOptions, say: Say = print) -> list[Row]:
    """Write the rows that are left to write, and give all; `say` takes a line after every batch.

    Raises:
        ValueError: for a model that cannot take the suites, streams that do not fit it, or a folder
            of another run.
    """
    trial = (ClipTrial if options.of_clips else TextTrial)(options)
    stamp = {"batch": options.batch, **trial.stamp, "commit": commit()}
    stamp["environment"] = machine_of(trial.model)
    with run_folder(options.output, options.identity) as config:
        configs = cell_hashes(config)
        done = {key_of(row) for row in read_rows(options.output, configs)}
        with closing(RowFile(options.output)) as file:
            for suite, seeds, owed in owing(options, done):
                names = options.names(suite, seeds)
                for cell, rows in trial.rows(suite, seeds, owed):
                    new = [row for row in rows if key_of(row) not in done]
                    file.append({**stamp, "config": configs[cell], **row} for row in new)
                    say(f"{names[0]} to {names[-1]}: {cell}")
        return read_rows(options.output, configs)


def owing(
    options: EvidenceOptions, done: Set[Key]
) -> Iterator[tuple[str, Sequence[int], list[str]]]:
    """Suite and seeds of the streams that pass together, with the cells that owe rows of any."""
    for suite in options.suites:
        for first in range(0, options.streams, options.batch):
            seeds = range(first, min(first + options.batch, options.streams))
            names = options.names(suite, seeds)
            if owed := [c for c in options.cells if not {(c, n) for n in names} <= done]:
                yield suite, seeds, owed
