"""Packed storage for heads that hold different numbers of slots, so that memory is really freed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .slots import Slots


@dataclass(frozen=True, eq=False)
class PackedSlots:
    """Ragged slots of one layer without their padding.

    Attributes:
        packed: a `Slots` whose tensors are [1, 1, total, ...]: the valid slots of all heads in a
            row.
        valid: [B, K, S] bool, where they belong.
    """

    packed: Slots
    valid: Tensor

    def unpack(self) -> Slots:
        """The padded `Slots` again; padding holds zeros and negative indices."""

        rows = self.valid.flatten().nonzero()[:, 0]

        def spread(value: Tensor, dim: int) -> Tensor:
            flat = value.flatten(dim - 2, dim)
            shape = list(flat.shape)
            shape[dim] = self.valid.numel()
            wide = flat.new_zeros(shape).index_copy_(dim, rows, flat)
            return wide.unflatten(dim, self.valid.shape)

        slots = self.packed.map(spread)
        padding = torch.arange(slots.num_slots, device=slots.index.device) - slots.num_slots
        return replace(slots, valid=self.valid, index=torch.where(self.valid, slots.index, padding))

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor it holds by name, see `Slots.tensors`."""
        yield "valid", self.valid
        yield from self.packed.tensors()


def pack(slots: Slots) -> Slots | PackedSlots:
    """The slots as they are stored between steps: packed where heads are ragged."""
    valid = slots.valid
    if valid is None:
        return slots

    rows = valid.flatten().nonzero()[:, 0]

    def squeeze(value: Tensor, dim: int) -> Tensor:
        flat = value.flatten(dim - 2, dim).index_select(dim, rows)
        return flat.unflatten(dim, (1, 1, len(rows)))

    return PackedSlots(replace(slots, valid=None).map(squeeze), valid)


def unpack(stored: Slots | PackedSlots) -> Slots:
    """The slots as a step sees them."""
    return stored.unpack() if isinstance(stored, PackedSlots) else stored
