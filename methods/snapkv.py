"""SnapKV: what a window of the newest tokens attends to, smoothed along the slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..framework import ScoringMemory, Slots, require_count
from .selection import newest, over_group, pooled_mean, real_slots


@final
@dataclass(frozen=True)
class SnapKVMemory(ScoringMemory):
    """Keep an observation window of newest tokens, and what it attends to with neighbours.

    Rule: the window is the step's last `observation_window` tokens, or all of a shorter step. Rank
    the slots before it by the weights of its queries, averaged over them and the GQA group, then
    averaged over `kernel` neighbouring slots. The window stays.

    Paper: Li et al., "SnapKV: LLM Knows What You are Looking for Before Generation", arXiv
    2404.14469; the mean over the GQA group as in kvpress.

    Args:
        capacity: slots per KV head, the window's included; None is full attention.
        observation_window: tokens that look and stay; 16 or 32 in the released code, 64 in kvpress.
            A whole frame makes this StateKV with pooling and the newest frame forced.
        kernel: slots averaged over, odd; 1 ranks slots alone, more keeps neighbours of a strong
            slot. Neighbours are those held: of old frames, slots that may lie far apart in the
            video.

    Raises:
        ValueError: if the window would fill the capacity, or if the kernel is even.

    Differences from the released code: it compresses a prompt once; here every step does, from the
    slots that survived. At the two ends of the slots it averages with zeros, here over the
    neighbours there are: the first tokens and those next to the window lose nothing.

    Cost per frame: attention over at most capacity + frame tokens, and once more the weights of the
    window's queries. Bytes held: `capacity` slots.
    """

    observation_window: int = 64
    kernel: int = 5
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
        if self.capacity is not None and self.observation_window >= self.capacity:
            raise ValueError(
                f"SnapKVMemory: observation_window={self.observation_window} leaves no slot of "
                f"capacity={self.capacity} to choose; raise capacity or lower observation_window"
            )

    def score(self, slots: Slots) -> Tensor:
        rows = torch.arange(-self._window(slots), 0, device=slots.index.device)
        # Sums over rows and group rank as means do.
        weights = over_group(slots.mass_of(rows), slots.keys.shape[1])
        return pooled_mean(weights, real_slots(slots) & ~self.protected(slots), self.kernel)

    def protected(self, slots: Slots) -> Tensor:
        return newest(slots, self._window(slots)).expand_as(slots.visual)

    def _window(self, slots: Slots) -> int:
        return min(self.observation_window, slots.num_new)
