"""What happens as soon as a pass is done: its rows go to the disk, running accuracy to the log."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from .accuracy import GroupedAccuracy
from .rows import Row, RowFile


class RowWriter(Callback):
    """Appends the rows of each pass to this process's file.

    Running accuracy per cell is logged by the first process, over its own share of this run and
    what was counted before; the step is the number of rows.

    Args:
        folder: of the run.
        cells: names of all.
    """

    def __init__(self, folder: Path, cells: Collection[str]) -> None:
        self.folder, self.cells = folder, list(cells)
        self.rows = 0
        self.accuracy = GroupedAccuracy(self.cells, sync_on_compute=False)

    def count(self, rows: Iterable[Row]) -> None:
        """Let rows enter the running accuracy."""
        for row in rows:
            self.rows += 1
            self.accuracy.update([row["correct"]], [row["cell"]])

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
        found = self.accuracy.compute()
        running = {f"accuracy/{cell}": float(found[cell]) for cell in self.cells if cell in found}
        for logger in trainer.loggers:
            logger.log_metrics(running, self.rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del trainer, pl_module
        self.file.close()
