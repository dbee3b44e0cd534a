"""The Lightning side: passes in, rows out; sharding, devices and launchers are Lightning's."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric

from .passes import PassRunner
from .rows import Row, RowFile, Work

# Facts about accelerators and process groups, advertisements.
CHATTY = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.distributed")
# Batches are plans of a few bytes, and a process may have none; no logger is chosen for the user.
EMPTY_WARNINGS = (
    ".*does not have many workers",
    ".*within local rank has zero length",
    ".*across ranks is zero, but local rank has zero",
    r".*isinstance\(treespec, LeafSpec\)",  # of Lightning to itself
)
MOST_PROCESSES = 64
NOT_HERE = {
    "precision": "set model.dtype",
    "use_distributed_sampler": "every process takes its share of the passes anyway",
}


class PassData(LightningDataModule):
    """What is still to do, a pass at a time; every process takes its share.

    Args:
        find: the passes that still owe rows. Called in `setup`, which every process ends before any
            of them writes, so that all find the same.
    """

    def __init__(self, find: Callable[[], Sequence[Work]]) -> None:
        super().__init__()
        # The last passes may be fewer than the processes.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.find = find
        self.work: Sequence[Work] = ()

    def setup(self, stage: str) -> None:
        del stage
        self.work = self.find()

    def predict_dataloader(self) -> DataLoader[Work]:
        trainer: Any = self.trainer
        # Lightning's own sampler stops at fewer passes than processes.
        share: Any = self.work[trainer.global_rank :: trainer.world_size]
        return DataLoader(share, batch_size=None)

    def transfer_batch_to_device(self, batch: Work, device: Any, dataloader_idx: int) -> Work:
        """Plans stay where they are; the adapter moves pixels."""
        del device, dataloader_idx
        return batch


class Evaluation(LightningModule):
    """One pass per step.

    Args:
        runner: makes what runs passes on a device; called once in each process.
        stamps: entries that every row of a cell carries, by cell.
    """

    def __init__(self, runner: Callable[[str], PassRunner], stamps: Mapping[str, Row]) -> None:
        super().__init__()
        self.make_runner, self.stamps = runner, stamps
        self._runner: PassRunner | None = None

    @property
    def runner(self) -> PassRunner:
        """This process's, with the model on its device; made on first use."""
        if self._runner is None:
            self._runner = self.make_runner(str(self.trainer.strategy.root_device))
        return self._runner

    def predict_step(self, batch: Work, batch_idx: int = 0) -> list[Row]:
        del batch_idx
        return [{**self.stamps[row["cell"]], **row} for row in self.runner.rows(batch)]


class RowWriter(Callback):
    """Appends the rows of each pass to this process's file.

    Running accuracy per cell is logged by the first process, over its own share of this run and
    what was counted before; the step is the number of rows.

    Args:
        folder: of the run.
        cells: names of all.
    """

    def __init__(self, folder: Path, cells: Collection[str]) -> None:
        self.folder = folder
        self.rows = 0
        # In float64: float32 would stop counting at 16,777,216.
        self.accuracy = {
            cell: MeanMetric(sync_on_compute=False).set_dtype(torch.float64) for cell in cells
        }

    def count(self, rows: Sequence[Row]) -> None:
        """Let rows enter the running accuracy."""
        self.rows += len(rows)
        for cell, accuracy in self.accuracy.items():
            if percent := [100.0 * row["correct"] for row in rows if row["cell"] == cell]:
                accuracy.update(torch.tensor(percent))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del pl_module
        self.file = RowFile(self.folder, trainer.global_rank)
        # Lightning would take note of a SIGTERM and work on to the end; this is how it ends on
        # Ctrl-C. It puts the handler before back afterwards.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        del pl_module, batch, batch_idx, dataloader_idx
        self.file.append(outputs)
        self.count(outputs)
        running = {
            f"accuracy/{cell}": float(accuracy.compute())
            for cell, accuracy in self.accuracy.items()
            if accuracy.update_called
        }
        for logger in trainer.loggers:
            logger.log_metrics(running, self.rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del trainer, pl_module
        self.file.close()


def make_trainer(
    settings: Mapping[str, Any], folder: Path, callback: Callback, *, interactive: bool
) -> Trainer:
    """The Trainer with these settings.

    Args:
        settings: Trainer's arguments as plain data; loggers, callbacks, strategies and plugins by
            name or as class_path and init_args.
        folder: of the run; a CSV log goes there unless another logger, or false, is given.
        callback: besides those in the settings.
        interactive: draw a progress bar.

    Raises:
        ValueError: for settings that Trainer does not have or cannot use.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    for name in settings.keys() & NOT_HERE.keys():
        raise ValueError(f"trainer: {name} cannot be set here: {NOT_HERE[name]}")
    _require_processes(settings)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Trainer, "trainer", instantiate=False)
    try:
        parsed = parser.parse_object({"trainer": _defaults(folder, interactive) | dict(settings)})
        chosen = parser.instantiate(parsed).trainer.as_dict()
        callbacks = [*_listed(chosen.pop("callbacks")), callback]
        bars = any(isinstance(one, ProgressBar) for one in callbacks)
        if chosen["enable_progress_bar"] and not bars:
            callbacks.append(RichProgressBar())
        if chosen["logger"] is None:
            chosen["logger"] = CSVLogger(folder, name="log")
        # Of Union[int, float] jsonargparse takes the first that fits, and typing keeps the order in
        # which anyone wrote that union first: 1, one batch, may come back as 1.0, all batches.
        numbers = {name: value for name, value in settings.items() if isinstance(value, int)}
        return Trainer(**chosen | numbers, callbacks=callbacks)
    except (ArgumentError, MisconfigurationException) as error:
        raise ValueError(f"trainer: {error}") from error
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"trainer: {dict(settings)!r:.200} cannot be used ({reason}); see Lightning's Trainer"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's tips and without warnings that say nothing to the user."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in EMPTY_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _require_processes(settings: Mapping[str, Any]) -> None:
    """Refuse more processes than a machine runs: Lightning would start them all."""
    most = max(MOST_PROCESSES, os.cpu_count() or 1)
    for name in ("devices", "num_nodes"):
        value = settings.get(name)
        count = len(value) if isinstance(value, list) else value
        if isinstance(count, str) and count.strip().lstrip("+-").isdigit():
            count = int(count)
        if not isinstance(count, int | float) or (count == -1 and name == "devices"):
            continue  # "auto", or for Lightning to judge
        if not 1 <= count <= most:
            raise ValueError(
                f"trainer: {name} is {value!r:.60}, but must lie in 1 to {most}; every one is a "
                "process that holds the model"
            )


def _defaults(folder: Path, interactive: bool) -> dict[str, Any]:
    return {
        "default_root_dir": str(folder),
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": interactive,
        "use_distributed_sampler": False,
    }


def _listed(callbacks: list[Callback] | Callback | None) -> list[Callback]:
    if callbacks is None:
        return []
    return callbacks if isinstance(callbacks, list) else [callbacks]
