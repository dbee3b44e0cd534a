"""Reductions of a step's attention weights to one number per slot.

Every query row of a step and every query head of the GQA group gives a slot one weight. Their sum
is `Slots.mass`; a memory may ask for other reductions of the same weights, computed in the pass
that computes the mass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

# "max": the largest weight. "squares": the sum of squared weights, which is near the mass where
# few queries look hard and far below it where many look past. "output_change": the sum of how far
# each query's output would move without the slot, see `output_change`.
REDUCTIONS = ("max", "squares", "output_change")


class WeightReductions:
    """Sums and reductions of weights that come a few query rows at a time.

    Args:
        names: of `REDUCTIONS`.
        mass: also sum them up.
        values: [B, K, S, D] of the slots that the weights belong to.

    Attributes:
        mass: [B, K, S] or None; float32, float64 for float64 keys, as all here.
        reduced: [B, K, S] by name.
        values: the values in the dtype that outputs handed to `add` must have.
    """

    def __init__(self, names: Sequence[str], mass: bool, values: Tensor) -> None:
        wide = torch.float64 if values.dtype == torch.float64 else torch.float32

        def zeros() -> Tensor:
            return torch.zeros(values.shape[:3], dtype=wide, device=values.device)

        # Changes of outputs would be lost in half precision's rounding of the outputs.
        self.values = values.to(wide) if "output_change" in names else values
        self.mass = zeros() if mass else None
        self.reduced = {name: zeros() for name in names}

    @property
    def wanted(self) -> bool:
        """Whether anything is asked for, so that weights must be looked at."""
        return self.mass is not None or bool(self.reduced)

    def add(self, weights: Tensor, outputs: Tensor | None = None) -> None:
        """Take in weights [B, K, rows, S] of some query rows, of all query heads of the group.
        `outputs` [B, K, rows, D], weights @ `values`, save a product where they are at hand."""
        if self.mass is not None:
            self.mass += weights.sum(2)
        for name, value in self.reduced.items():
            if name == "max":
                self.reduced[name] = torch.maximum(value, weights.amax(2))
            elif name == "squares":
                value += weights.square().sum(2)
            else:
                value += self._change(weights, outputs)

    @torch.no_grad()  # computed in place, and its slope at an unmoved output is infinite
    def _change(self, weights: Tensor, outputs: Tensor | None) -> Tensor:
        return output_change(weights, self.values, outputs).sum(2)


def output_change(weights: Tensor, values: Tensor, outputs: Tensor | None = None) -> Tensor:
    """[..., n, S] how far each query's output moves if a slot is left out.

    Without slot j of weight w and value v the output o of softmax attention becomes
    (o - w v) / (1 - w), which lies w / (1 - w) x ||o - v||_2 from o. A query that saw next to
    nothing else loses its whole output.

    Args:
        weights: [..., n, S], rows that sum to 1.
        values: [..., S, D] in the weights' dtype.
        outputs: [..., n, D] weights @ values, worked out if not given.
    """
    outputs = weights @ values if outputs is None else outputs
    # What is left of the weights is exact to rounding: where it is less than 256 times as much, the
    # quotient may be off by more than .4 %. Seen from 0 and divided by 1 it is the output.
    largest, slot = weights.max(-1, keepdim=True)
    alone = largest > 1 - 256 * torch.finfo(weights.dtype).eps
    outputs = outputs.masked_fill(alone, 0)
    apart = outputs.square().sum(-1, keepdim=True) + values.square().sum(-1)[..., None, :]
    # o^2 + v^2 - 2 o v, the product added in place: a pass over the weights less.
    *lead, rows, slots = apart.shape
    flat = apart.view(math.prod(lead), rows, slots)
    left, right = (
        part.expand(*lead, -1, -1).reshape(len(flat), -1, values.shape[-1])
        for part in (outputs, values)
    )
    torch.baddbmm(flat, left, right.mT, alpha=-2, out=flat)
    # The output lies next to the value of a slot with nearly all weight, where the squares cancel:
    # in float32 the distance was off by up to 4 % at a weight of .992, and by all of it at .9996.
    own = values.expand(*lead, -1, -1).gather(-2, slot.expand(*lead, rows, values.shape[-1]))
    apart.scatter_(-1, slot, (outputs - own).square().sum(-1, keepdim=True))
    apart.clamp_min_(0).sqrt_()
    return apart.mul_(weights).div_((1 + alone.to(weights.dtype)) - weights)


def require_reductions(owner: str, names: Iterable[str]) -> None:
    """Refuse names of reductions that do not exist; the ValueError names the owner, the name and
    what there is."""
    for name in names:
        if name not in REDUCTIONS:
            raise ValueError(f"{owner}: reductions must be of {REDUCTIONS}, got {name!r}")
