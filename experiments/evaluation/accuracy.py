"""Accuracy overall, per group and as the mean of groups, as a torchmetrics metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class GroupedAccuracy(Metric):
    """Shares of right answers in percent.

    `compute` gives "micro" (all questions alike), "macro" (mean over groups that have questions)
    and one entry per group that has questions; without any question only NaN.

    Args:
        groups: all names there can be.
        options: of `torchmetrics.Metric`. As in all its metrics, `compute` adds up the counts of
            all processes; `sync_on_compute=False` keeps to this one's.
    """

    full_state_update = False
    right: Tensor
    asked: Tensor

    def __init__(self, groups: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.groups = list(groups)
        for name in ("right", "asked"):
            # Counts, which float32 would stop counting at 16,777,216.
            state = torch.zeros(len(self.groups), dtype=torch.int64)
            self.add_state(name, state, dist_reduce_fx="sum")

    def update(self, correct: Iterable[bool], groups: Iterable[str]) -> None:
        """Count answers, each in its group.

        Raises:
            ValueError: for a group that was not named before.
        """
        for right, group in zip(correct, groups, strict=True):
            if group not in self.groups:
                raise ValueError(f"unknown group {group!r}; known are {self.groups}")
            number = self.groups.index(group)
            self.right[number] += right
            self.asked[number] += 1

    def compute(self) -> dict[str, Tensor]:
        shares = 100 * self.right / self.asked
        named = dict(zip(self.groups, shares, strict=True))
        return {
            "micro": 100 * self.right.sum() / self.asked.sum(),
            "macro": shares[self.asked > 0].mean(),
            **{name: share for name, share in named.items() if not share.isnan()},
        }
