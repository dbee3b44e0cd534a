"""What is on the disk and in the log as soon as a pass is done."""

from __future__ import annotations

import csv
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning
import pytest
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crossframe.experiments.evaluation import run
from crossframe.experiments.evaluation.rows import Row, RowFile, Work, read_rows
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.evaluation.trainer import RowWriter

from .conftest import MakeOptions


def logged(folder: Path, version: int = 0) -> list[dict[str, float]]:
    with (folder / "log" / f"version_{version}" / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def told(cell: str, question: str, correct: bool) -> Row:
    return {"cell": cell, "question": question, "correct": correct}


class Log(CSVLogger):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("")
        self.seen: list[tuple[dict[str, Any], int | None]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.seen.append((dict(metrics), step))


def test_rows_are_written_and_accuracy_is_logged_pass_by_pass(tmp_path: Path) -> None:
    writer, log = RowWriter(tmp_path, {"full": None, "window": None}), Log()
    trainer: Any = lightning.Trainer(
        accelerator="cpu", logger=log, enable_progress_bar=False, enable_checkpointing=False
    )
    module = lightning.LightningModule()
    writer.count([told("full", "0", True)])
    writer.on_predict_start(trainer, module)
    passes = [
        [told("full", "1", False), told("window", "1", True)],
        [told("window", "2", False), told("window", "3", False)],
    ]
    for number, rows in enumerate(passes):
        writer.on_predict_batch_end(trainer, module, rows, None, number)
        assert read_rows(tmp_path)[-len(rows) :] == rows
    writer.on_predict_end(trainer, module)
    first, second = log.seen
    assert first == ({"accuracy/full": 50.0, "accuracy/window": 100.0}, 3)
    assert second == ({"accuracy/full": 50.0, "accuracy/window": pytest.approx(100 / 3)}, 5)


def test_counts_do_not_stop_where_float32_would(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path, ["full"])
    writer.accuracy["full"].update(0.0, weight=2.0**24)
    writer.count([told("full", "1", True)])
    assert float(writer.accuracy["full"].compute()) == 100 / (2**24 + 1)
    assert not writer.accuracy["full"].sync_on_compute  # other processes end hours apart


def test_the_csv_log_of_a_resumed_run_goes_on_where_the_first_one_stopped(
    options: MakeOptions,
) -> None:
    chosen = options(trainer={"accelerator": "cpu", "limit_predict_batches": 1})
    evaluate(chosen)
    assert len(logged(chosen.output)) == 1
    evaluate(replace(chosen, trainer={"accelerator": "cpu"}))
    rows = read_rows(chosen.output)
    (last,) = logged(chosen.output, version=1)
    assert last["step"] == len(rows) == 18
    for cell in chosen.cells:
        own = [row["correct"] for row in rows if row["cell"] == cell]
        assert last[f"accuracy/{cell}"] == pytest.approx(100 * sum(own) / len(own))


def test_tensorboard_shows_the_running_accuracy(options: MakeOptions, tmp_path: Path) -> None:
    # As docs/evaluate.md writes it.
    settings = {"save_dir": str(tmp_path), "name": "board"}
    logger = {"class_path": "TensorBoardLogger", "init_args": settings}
    chosen = options(trainer={"accelerator": "cpu", "logger": logger})
    evaluate(chosen)
    board = EventAccumulator(str(tmp_path / "board/version_0")).Reload()
    rows = read_rows(chosen.output)
    for cell in chosen.cells:
        *_, last = board.Scalars(f"accuracy/{cell}")
        own = [row["correct"] for row in rows if row["cell"] == cell]
        assert last.step == len(rows)
        assert last.value == pytest.approx(100 * sum(own) / len(own))


class Run(list[dict[str, Any]]):
    """A stand-in for a run of Weights & Biases: what was logged."""

    def log(self, metrics: dict[str, Any]) -> None:
        self.append(metrics)

    def define_metric(self, *names: str, **settings: Any) -> None:
        assert names


def test_weights_and_biases_is_handed_the_running_accuracy(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []
    logged = Run()
    module, kinds, made = ModuleType("wandb"), ModuleType("wandb.sdk.lib"), ModuleType("wandb_run")
    vars(module).update(run=None, init=lambda **asked: begun.append(asked) or logged)
    vars(kinds)["RunDisabled"] = vars(made)["Run"] = Run
    for name, stand_in in (
        ("wandb", module), ("wandb.sdk", ModuleType("wandb.sdk")), ("wandb.sdk.lib", kinds),
        ("wandb.wandb_run", made),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", True)
    # As docs/evaluate.md writes it.
    settings = {"project": "memories", "name": "videomme", "save_dir": "runs/videomme"}
    logger = {"class_path": "WandbLogger", "init_args": settings}
    chosen = options(limit=1, trainer={"accelerator": "cpu", "logger": logger})
    evaluate(chosen)
    assert begun[0].items() >= {"project": "memories", "name": "videomme"}.items()
    rows = read_rows(chosen.output)
    right = {f"accuracy/{row['cell']}": 100.0 * row["correct"] for row in rows}
    assert logged[-1] == right | {"trainer/global_step": len(rows)}


def test_a_terminated_run_stops_at_once_and_keeps_what_it_has(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, before = run.PassRunner.rows, signal.getsignal(signal.SIGTERM)

    def rows_then_terminated(self: run.PassRunner, work: Work) -> list[Row]:
        if (self.options.output / "rows-0.jsonl").stat().st_size:
            os.kill(os.getpid(), signal.SIGTERM)
        return rows(self, work)

    monkeypatch.setattr(run.PassRunner, "rows", rows_then_terminated)
    chosen = options()
    with pytest.raises(KeyboardInterrupt):
        evaluate(chosen)
    assert signal.getsignal(signal.SIGTERM) == before
    assert len(read_rows(chosen.output)) == 12  # of the first of two passes


def test_a_disk_that_takes_no_more_ends_the_run_and_what_it_took_counts(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, taken = os.write, 0

    def full_disk(descriptor: int, data: bytes) -> int:
        nonlocal taken
        room = 2500 - taken
        if room <= 0:
            raise OSError(28, "No space left on device")
        taken += min(room, len(data))
        return write(descriptor, data[:room])

    chosen = options()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match="No space left on device"):
            evaluate(chosen)
    kept = read_rows(chosen.output)
    content = (chosen.output / "rows-0.jsonl").read_bytes()
    assert len(content) == 2500
    assert 1 <= len(kept) < 12
    evaluate(chosen)
    assert len(read_rows(chosen.output)) == 18
    whole = (chosen.output / "rows-0.jsonl").read_bytes()
    start = content.rfind(b"\n") + 1
    assert whole[:start] == content[:start]


def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        RowFile(tmp_path / "nowhere")
