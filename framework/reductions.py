"""Reductions of a step's attention weights to one number per slot.

Every query row of a step and every query head of the GQA group gives a slot one weight. Their sum
is `Slots.mass`; a memory may ask for other reductions of the same weights, computed in the pass
that computes the mass.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# "max": the largest weight. "squares": the sum of squared weights, which is near the mass where
# few queries look hard and far below it where many look past.
REDUCTIONS = ("max", "squares")


class WeightReductions:
    """Sums and reductions of weights that come a few query rows at a time.

    Args:
        names: of `REDUCTIONS`.
        mass: also sum them up.
        keys: [B, K, S, D] that the weights belong to.

    Attributes:
        mass: [B, K, S] or None; float32, float64 for float64 keys, as all here.
        reduced: [B, K, S] by name.
    """

    def __init__(self, names: Iterable[str], mass: bool, keys: Tensor) -> None:
        wide = torch.float64 if keys.dtype == torch.float64 else torch.float32

        def zeros() -> Tensor:
            return torch.zeros(keys.shape[:3], dtype=wide, device=keys.device)

        self.mass = zeros() if mass else None
        self.reduced = {name: zeros() for name in names}

    @property
    def wanted(self) -> bool:
        """Whether anything is asked for, so that weights must be looked at."""
        return self.mass is not None or bool(self.reduced)

    def add(self, weights: Tensor) -> None:
        """Take in weights [B, K, rows, S] of some query rows, of all query heads of the group."""
        if self.mass is not None:
            self.mass += weights.sum(2)
        for name, value in self.reduced.items():
            if name == "max":
                torch.maximum(value, weights.amax(2), out=value)
            else:
                value += torch.linalg.vector_norm(weights, dim=2).square_()


def require_reductions(owner: str, names: Iterable[str]) -> None:
    """Refuse names of reductions that do not exist.

    Raises:
        ValueError: naming the owner, the name and what there is.
    """
    for name in names:
        if name not in REDUCTIONS:
            raise ValueError(f"{owner}: reductions must be of {REDUCTIONS}, got {name!r}")
