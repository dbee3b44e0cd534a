"""The Lightning side: passes in, rows out; sharding, devices and launchers are Lightning's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning
from torch.utils.data import DataLoader

from .passes import PassRunner
from .rows import Row, Work


class PassData(lightning.LightningDataModule):
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
        as_it_is: Any = _as_it_is
        return DataLoader(share, batch_size=None, collate_fn=as_it_is)

    def transfer_batch_to_device(self, batch: Work, device: Any, dataloader_idx: int) -> Work:
        """Plans stay where they are; the adapter moves pixels."""
        del device, dataloader_idx
        return batch


def _as_it_is(work: Work) -> Work:
    return work


class Evaluation(lightning.LightningModule):
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
