"""What a backend of attention is asked, what it gives, and what it says of itself.

Letters: B batch, H query heads, K KV heads, G = H / K, T new tokens, S keys, D head_dim.
The last T keys are the queries' own tokens, unless said otherwise; all before them are visible.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from .merging import Reading
from .reductions import WeightReductions


@dataclass(frozen=True, eq=False)
class Visibility:
    """Which keys a query row of the step sees.

    Attributes:
        block: [T] int64, ascending, for `in_frame="bidirectional"`: the frame each new token
            belongs to; a row sees its own frame whole and earlier ones. None is causal.
        valid: [B, K, S] bool for ragged heads, None where every slot is real.
        own: the last T keys are the queries' own. False for a block of earlier keys, all visible.
    """

    block: Tensor | None = None
    valid: Tensor | None = None
    own: bool = True

    def own_rows(self, rows: Tensor, num_new: int) -> Tensor:
        """[n, T] bool: which of the step's own tokens the given rows see, before `valid`; all
        earlier keys are visible."""
        if self.block is None:
            return torch.arange(num_new, device=rows.device)[None, :] <= rows[:, None]
        own = self.block.to(rows.device)
        return own[None, :] <= own[rows][:, None]


class Inputs(NamedTuple):
    """What a step attends with, and to.

    Attributes:
        query: [B, H, T, D].
        keys, values: [B, K, S, D]; the last T are the queries' own, see `Visibility.own`.
        scale: factor before the softmax.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    scale: float
    visibility: Visibility

    @property
    def rows(self) -> Tensor:
        """[T] the numbers of all query rows."""
        return torch.arange(self.query.shape[2], device=self.query.device)

    @property
    def num_own(self) -> int:
        """How many of the keys, at their end, are the queries' own."""
        return self.query.shape[2] if self.visibility.own else 0


class Place(NamedTuple):
    """Where a step's attention runs: the device, dtype and size of its heads."""

    device: torch.device
    dtype: torch.dtype
    head_dim: int


class Backend(ABC):
    """One way to compute a step's attention. All are equal up to rounding; they differ in what
    they hold, support and cost, which each says here.

    Attributes:
        name: what a session's `attention` calls it.
        weight_products: products of the size of QK^T, beside attention's own two, that it takes to
            look at the weights, for the mass or any reduction; none where they fall off.
        lse_products: such products that it takes for the log-sum-exp of a reading.
        reductions: those of `REDUCTIONS` it supports, and how many more such products each takes;
            one for the change of outputs that are at hand.
    """

    name: ClassVar[str]
    weight_products: ClassVar[int] = 0
    lse_products: ClassVar[int] = 0
    reductions: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"max": 0, "squares": 0, "output_change": 1}
    )

    @abstractmethod
    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        """[B, H, T, D] in the values' dtype; `received` takes in the weights, if it wants any."""

    @abstractmethod
    def read(self, inputs: Inputs) -> Reading:
        """The output, in the values' dtype or wider, with its log-sum-exp. A query may see none of
        the keys."""

    @abstractmethod
    def receive(self, inputs: Inputs, whole: Reading, received: WeightReductions) -> None:
        """`received` takes in the weights that these keys have in the reading `whole` of these and
        further keys; `whole.output` is as wide as its lse."""

    def lack(self, place: Place) -> str | None:
        """Why it cannot run there, and what could; None where it can."""
        del place
        return None

    def extra_products(
        self,
        needs_mass: bool,
        reductions: Sequence[str],
        head_dim: int,
        in_blocks: bool = False,
    ) -> Fraction:
        """Products of the size of QK^T, beside attention's own two, of a step that asks for it.

        Where keys come in blocks, weights are known only after the last of them and take QK^T once
        more; outputs are at hand by then.
        """
        del head_dim
        wanted = bool(needs_mass or reductions)
        if in_blocks:
            return Fraction(self.lse_products + wanted + ("output_change" in reductions))
        return Fraction(wanted * self.weight_products + sum(self.reductions[n] for n in reductions))
