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
# few queries look hard and far below it where many look past. "output_change": the sum of how far
# each query's output would move without the slot, see `output_change`.
REDUCTIONS = ("max", "squares", "output_change")
# Products of the size of QK^T that a reduction costs beside the weights: outputs, and their
# distances from the values.
PRODUCTS = {"output_change": 2}


class WeightReductions:
    """Sums and reductions of weights that come a few query rows at a time.

    Args:
        names: of `REDUCTIONS`.
        mass: also sum them up.
        values: [B, K, S, D] of the slots that the weights belong to.

    Attributes:
        mass: [B, K, S] or None; float32, float64 for float64 keys, as all here.
        reduced: [B, K, S] by name.
    """

    def __init__(self, names: Iterable[str], mass: bool, values: Tensor) -> None:
        wide = torch.float64 if values.dtype == torch.float64 else torch.float32

        def zeros() -> Tensor:
            return torch.zeros(values.shape[:3], dtype=wide, device=values.device)

        self._values = values

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
            elif name == "squares":
                value += torch.linalg.vector_norm(weights, dim=2).square_()
            else:
                value += output_change(weights, self._values.to(weights.dtype)).sum(2)


def output_change(weights: Tensor, values: Tensor) -> Tensor:
    """[..., n, S] how far each query's output moves if a slot is left out.

    Without slot j of weight w and value v the output o of softmax attention becomes
    (o - w v) / (1 - w), which lies w / (1 - w) x ||o - v||_2 from o. A query that saw next to
    nothing else loses its whole output.

    Args:
        weights: [..., n, S], rows that sum to 1.
        values: [..., S, D] in the weights' dtype.
    """
    outputs = weights @ values
    # Squared distances are exact to rounding, distances to its square root: where less is left of
    # the weights, the quotient would say nothing. Seen from 0 and divided by 1 it is the output.
    alone = weights.amax(-1, keepdim=True) > 1 - torch.finfo(weights.dtype).eps ** 0.5
    outputs = outputs.masked_fill_(alone, 0)
    apart = (-2 * outputs) @ values.mT
    apart.add_(outputs.square().sum(-1, keepdim=True)).add_(values.square().sum(-1)[..., None, :])
    apart = apart.clamp_min_(0).sqrt_()
    return apart.mul_(weights).div_((1 + alone.to(weights.dtype)) - weights)


def reduction_products(names: Iterable[str]) -> int:
    """Products of the size of QK^T that these reductions cost."""
    return sum(PRODUCTS.get(name, 0) for name in names)


def require_reductions(owner: str, names: Iterable[str]) -> None:
    """Refuse names of reductions that do not exist.

    Raises:
        ValueError: naming the owner, the name and what there is.
    """
    for name in names:
        if name not in REDUCTIONS:
            raise ValueError(f"{owner}: reductions must be of {REDUCTIONS}, got {name!r}")
