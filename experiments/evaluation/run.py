"""`crossframe evaluate`: any model x memory x reader on a benchmark, resumable at any moment."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning

from ...framework.video import probe_video
from ..benchmarks.question import Question
from ..environment import commit
from .folder import config_hash, run_folder, wait_for_others
from .module import Evaluation, PassData
from .options import EvaluateOptions
from .passes import PassRunner, unanswered
from .plan import Refused, Sampled, Work, owing, plan_passes, sample_videos
from .rows import REFUSED, Key, Row, RowFile, key_of, read_rows
from .summary import Outcome, outcome
from .trainer import make_trainer, quiet
from .writer import RowWriter


def evaluate(options: EvaluateOptions, *, interactive: bool = False) -> Outcome | None:
    """Ask what has no row yet, then sum up all rows.

    Args:
        interactive: draw a progress bar.

    Returns:
        What goes to `summary.json`; None in all processes but the first.

    Raises:
        ValueError: for settings that cannot work, a folder of another run, or (strict) a video
            that is missing or cannot be read.
    """
    questions = list(options.benchmark.questions())[: options.limit]
    with quiet():
        writer = RowWriter(options.output, list(options.cells))
        trainer = make_trainer(options.trainer, options.output, writer, interactive=interactive)
        place = trainer.global_rank, trainer.world_size
        with run_folder(options.output, options.identity, *place):
            run = _Run(options, questions)
            writer.count(run.rows())
            run.ask(trainer)
            if not trainer.is_global_zero:
                return None
            wait_for_others(options.output, trainer.world_size)
            found = outcome(run.rows(), options, len(questions))
            _write(options.output / "summary.json", found)
            return found


class _Run:
    """What is done and what is left to do in the run's folder."""

    def __init__(self, options: EvaluateOptions, questions: Sequence[Question]) -> None:
        self.options, self.questions = options, questions
        name = config_hash(options.identity)
        self.stamp = {"benchmark": options.benchmark.name, "config": name, "commit": commit()}

    def rows(self) -> list[Row]:
        return read_rows(self.options.output, self.stamp["config"])

    def ask(self, trainer: lightning.Trainer) -> None:
        """Write the rows that are left to write."""
        sampled, refused = self._look()
        if trainer.is_global_zero:
            self._write_refused(refused)
        if not sampled:
            return
        module = Evaluation(self._runner, self.stamp)
        data = PassData(lambda: self._work(sampled, module.model.sized_by_length))
        with _ended_together(trainer):
            trainer.predict(module, data, return_predictions=False)

    def _look(self) -> tuple[list[Sampled], list[Refused]]:
        """Questions about videos that still owe rows, and those that cannot be asked."""
        done = self._done()
        owing = [
            question
            for question in self.questions
            if any((cell, question.id) not in done for cell in self.options.cells)
        ]
        paths = {question.path for question in owing}
        asked = [one for one in self.questions if one.path in paths and (one.path or one in owing)]
        sampled, refused = sample_videos(asked, self.options.sampling, _seconds)
        if self.options.strict and refused:
            first = refused[0]
            raise ValueError(
                f"{len(refused)} questions cannot be asked, first {first.question.id} about video "
                f"{first.question.video}: {first.why}; add the videos or run without strict"
            )
        return sampled, refused
