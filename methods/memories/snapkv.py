"""SnapKV: what a window of the newest tokens attends to, smoothed along the slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots, require_count, require_one_of
from ..selection import newest, over_group, pooled_max, pooled_mean, real_slots

POOLINGS = ("avg", "max")


@final
@dataclass(frozen=True)
class SnapKVMemory(ScoringMemory):
    """Keep an observation window of newest tokens, and what it attends to with neighbours.

    Rule: the window is the step's last `observation_window` tokens, or all of a shorter step. Rank
    the slots before it by the weights of its queries, averaged over them and the GQA group, then
    pooled over `kernel` neighbouring slots. The window stays.

    Paper: Li et al., "SnapKV: LLM Knows What You are Looking for Before Generation", arXiv
    2404.14469. The defaults are those of the three configurations released with it, for prompts of
    1024, 2048 and 4096 slots.

    Args:
        capacity: slots per KV head, the window's included; None is full attention.
        observation_window: tokens that look and stay. A whole frame makes this StateKV with pooling
            and the newest frame forced.
        kernel: slots pooled over, odd; 1 ranks slots alone, more keeps neighbours of a strong slot.
            Neighbours are those held: of old frames, slots that may lie far apart in the video.
        pooling: "max", or "avg", which the released classes have as their own default, with a
            kernel of 5 and a window of 64 or 32; kvpress averages too, with 5 and 64.

    Raises:
        ValueError: if the window would fill the capacity, if the kernel is even, or for another
            pooling.

    Differences from the released code: it compresses a prompt once; here every step does, from the
    slots that survived. It repeats keys and values for grouped queries and chooses for every query
    head; here a KV head has one set of slots, by the mean over its group, as in kvpress. It rounds
    weights to the model's dtype before it adds them. Of slots that tie, as those around a peak do
    under "max", it keeps any, here the newer. Its "avg" takes zeros beyond the two ends of the
    slots, here only the neighbours there are count: the first tokens and those next to the window
    lose nothing.

    Cost per frame: attention over at most capacity + frame tokens, and once more the weights of the
    window's queries. Bytes held: `capacity` slots.
    """

    observation_window: int = 32
    kernel: int = 7
    pooling: str = "max"
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("observation_window", "kernel"):
            require_count("SnapKVMemory", name, getattr(self, name), least=1, unbounded=False)
        if self.kernel % 2 == 0:
            raise ValueError(
                f"SnapKVMemory: kernel must be odd, so that a slot is in the middle, got "
                f"{self.kernel}"
            )
        require_one_of("SnapKVMemory", "pooling", self.pooling, POOLINGS)
        if self.capacity is not None and self.observation_window >= self.capacity:
            raise ValueError(
                f"SnapKVMemory: observation_window={self.observation_window} leaves no slot of "
                f"capacity={self.capacity} to choose; raise capacity or lower observation_window"
            )

    def score(self, slots: Slots) -> Tensor:
        rows = torch.arange(-self._window(slots), 0, device=slots.index.device)
        # Sums over rows and group rank as means do.
        weights = over_group(slots.mass_of(rows), slots.keys.shape[1])
        counted = real_slots(slots) & ~self.protected(slots)
        pooled = pooled_max if self.pooling == "max" else pooled_mean
        return pooled(weights, counted, self.kernel)

    def protected(self, slots: Slots) -> Tensor:
        return newest(slots, self._window(slots)).expand_as(slots.visual)

    def _window(self, slots: Slots) -> int:
        return min(self.observation_window, slots.num_new)
