"""The limit of a machine, measured beside what it limits: its matrix products and its copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .benches import milliseconds

# Sides of square products; the best counts. Bytes that are copied.
SIDES = {"cpu": (1024, 1536), "cuda": (4096, 8192)}
COPIED = {"cpu": 1 << 28, "cuda": 1 << 30}


@dataclass(frozen=True)
class Limits:
    """What a machine gives at a moment.

    Attributes:
        flops: of square matrix products, per second.
        bandwidth: bytes per second that a copy reads and writes.
    """

    flops: float
    bandwidth: float

    def milliseconds(self, flops: float, num_bytes: float) -> float:
        """No step of so many FLOPs and bytes takes less."""
        return 1e3 * max(flops / self.flops, num_bytes / self.bandwidth)

    def share(self, flops: float, taken: float) -> float:
        """Of the peak of matrix products, for FLOPs in so many milliseconds."""
        return flops / (taken * 1e-3) / self.flops


def limits_of(device: torch.device, dtype: torch.dtype) -> Callable[[], Limits]:
    """Makes what is multiplied and copied, and gives what measures it, again and again."""
    sides, count = SIDES[device.type], COPIED[device.type] // dtype.itemsize
    squares = [torch.randn(2, side, side, device=device, dtype=dtype) for side in sides]
    source = torch.zeros(count, device=device, dtype=dtype)
    target = torch.zeros_like(source)

    def measured() -> Limits:
        flops = max(_flops(square, device) for square in squares)
        taken = milliseconds(lambda: target.copy_(source), device)
        return Limits(flops, 2 * COPIED[device.type] / taken * 1e3)

    return measured


def _flops(pair: torch.Tensor, device: torch.device) -> float:
    """FLOPs per second of the faster of two products."""
    first, second = pair
    taken = min(milliseconds(lambda: first @ second, device) for _ in range(2))
    return 2 * pair.shape[-1] ** 3 / taken * 1e3
