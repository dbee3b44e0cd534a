"""`crossframe evaluate`: any model x memory x reader on a benchmark, resumable at any moment."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import lightning

from ..benchmarks.question import Question
from ..streaming.environment import commit
from ..streaming.frames import told_flags
from ..streaming.plan import Refused, Sampled, plan_passes, sample_videos, video_seconds
from .folder import Config, cell_hashes, config_hash, run_folder, wait_for_others, write_json
from .generation import require_generation
from .options import EvaluateOptions
from .passes import PassRunner, unanswered
from .rows import REFUSED, Key, Row, RowFile, Work, key_of, owing, read_rows
from .seals import made_seals
from .summary import Outcome, flagged_videos, outcome
from .trainer import Evaluation, PassData, RowWriter, make_trainer, quiet


def evaluate(options: EvaluateOptions, *, interactive: bool = False) -> Outcome | None:
    """Ask what has no row yet, under a progress bar if `interactive`, then sum up all rows.

    Returns:
        What goes to `summary.json`; None in all processes but the first.

    Raises:
        ValueError: for settings that cannot work, a folder of another run, or (strict) a video
            that is missing, cannot be read, or has frames that FFmpeg flags as damaged.
    """
    require_generation(options.generation)
    questions = list(options.benchmark.questions())[: options.limit]
    folder = options.output
    with quiet():
        writer = RowWriter(folder, options.cells)
        trainer = make_trainer(options.trainer, folder, writer, interactive=interactive)
        rank, world = trainer.global_rank, trainer.world_size
        with run_folder(folder, options.identity, rank, world) as config:
            made_seals(folder)
            run = _Run(options, questions, config)
            writer.count(run.rows())
            run.finish(trainer)
            if rank > 0:
                return None
            wait_for_others(folder, world)
            name = config_hash(config)
            summary = outcome(run.rows(), options, questions=len(questions), config=name)
            write_json(folder / "summary.json", summary)
            return summary


class _Run:
    """What is done and what is left to do in a run's folder."""

    def __init__(
        self, options: EvaluateOptions, questions: Sequence[Question], config: Config
    ) -> None:
        self.options, self.questions = options, questions
        self.configs = cell_hashes(config)
        stamp = {"benchmark": options.benchmark.name, "commit": commit()}
        self.stamps = {cell: {**stamp, "config": name} for cell, name in self.configs.items()}

    def rows(self) -> list[Row]:
        return read_rows(self.options.output, self.configs)

    def finish(self, trainer: lightning.Trainer) -> None:
        """Write the rows that are left to write."""
        self._require_unflagged()
        sampled, refused = self._look()
        if trainer.is_global_zero:
            self._write(refused)
        if not self._owed(one.question for one in sampled):
            return
        module = Evaluation(self._runner, self.stamps)
        data = PassData(lambda: self._work(sampled, module.runner.model.sized_by_length))
        with _ended_together(trainer):
            trainer.predict(module, data, return_predictions=False)

    def _require_unflagged(self) -> None:
        """Strict means that no row comes from frames that FFmpeg flags, from earlier runs neither.

        Raises:
            ValueError: naming the first such video.
        """
        flagged = flagged_videos(self.rows()) if self.options.strict else {}
        for video, count in flagged.items():
            raise ValueError(
                f"{len(flagged)} videos that have rows already have damaged frames, first {video}: "
                f"{told_flags(count)}: mend the video and give another output folder, or "
                "run without strict"
            )

    def _look(self) -> tuple[list[Sampled], list[Refused]]:
        """Questions by whether they can be asked; videos that owe nothing are not looked at.

        All questions about a video, so that which of them share a pass does not depend on what is
        done.
        """
        paths = {question.path for question in self._owed(self.questions)}
        about = [question for question in self.questions if question.path in paths]
        sampled, refused = sample_videos(about, self.options.sampling, video_seconds)
        if self.options.strict and refused:
            first = refused[0]
            raise ValueError(
                f"{len(refused)} questions cannot be asked, first {first.question.id} about video "
                f"{first.question.video}: {first.why}; add the videos or run without strict"
            )
        return sampled, refused

    def _runner(self, device: str) -> PassRunner:
        model = self.options.model
        spread = "device_map" in (model.adapter or {})  # over devices of its own choice
        loaded = replace(model, device=None if spread else device).load()
        return PassRunner(loaded, self.options)

    def _work(self, sampled: Sequence[Sampled], sized_by_length: bool) -> list[Work]:
        passes = plan_passes(sampled, share_prefixes=not sized_by_length)
        return owing(passes, self.options.cells, self._done())

    def _owed(self, questions: Iterable[Question]) -> list[Question]:
        done, cells = self._done(), self.options.cells
        return [one for one in questions if any((cell, one.id) not in done for cell in cells)]

    def _done(self) -> set[Key]:
        again = self.options.retry or self.options.strict
        return {key_of(row) for row in self.rows() if not (again and row["status"] in REFUSED)}

    def _write(self, refused: Sequence[Refused]) -> None:
        written = {key_of(row) for row in self.rows()}
        rows = [
            {**self.stamps[cell], **unanswered(cell, one.question, one.status, one.why)}
            for one in refused
            for cell in self.options.cells
            if (cell, one.question.id) not in written
        ]
        with closing(RowFile(self.options.output)) as file:
            file.append(rows)


@contextmanager
def _ended_together(trainer: lightning.Trainer) -> Iterator[None]:
    """Processes that Lightning launched do not outlive an error in the first one."""
    try:
        yield
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    except BaseException:
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(signal.SIGKILL)  # written rows are safe
        raise
