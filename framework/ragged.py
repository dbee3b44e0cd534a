"""Packed storage for heads that hold different numbers of slots, so that memory is really freed."""

from __future__ import annotations

from collections.abc import Callable
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

        def spread(value: Tensor) -> Tensor:
            out = value.new_zeros(*self.valid.shape)
            out[self.valid] = value[0, 0]
            return out

        def spread_rows(value: Tensor) -> Tensor:
            out = value.new_zeros(*self.valid.shape, value.shape[-1])
            out[self.valid] = value[0, 0]
            return out

        slots = _map(self.packed, spread, spread_rows)
        padding = torch.arange(slots.num_slots, device=slots.index.device) - slots.num_slots
        return replace(slots, valid=self.valid, index=torch.where(self.valid, slots.index, padding))


def pack(slots: Slots) -> Slots | PackedSlots:
    """The slots as they are stored between steps: packed where heads are ragged."""
    valid = slots.valid
    if valid is None:
        return slots

    def squeeze(value: Tensor) -> Tensor:
        return value[valid][None, None]

    packed = _map(replace(slots, valid=None), squeeze, squeeze)
    return PackedSlots(packed, valid)


def unpack(stored: Slots | PackedSlots) -> Slots:
    """The slots as a step sees them."""
    return stored.unpack() if isinstance(stored, PackedSlots) else stored


def _map(slots: Slots, flat: Callable[[Tensor], Tensor], rows: Callable[[Tensor], Tensor]) -> Slots:
    """A copy of the slots with `flat` over [B, K, S] tensors and `rows` over keys and values."""
    assert slots.rotated is not None
    positions = torch.stack([flat(axis) for axis in slots.positions])
    rotated = positions
    if slots.moved:
        rotated = torch.stack([flat(axis) for axis in slots.rotated])
    return replace(
        slots,
        keys=rows(slots.keys),
        values=rows(slots.values),
        index=flat(slots.index),
        frame=flat(slots.frame),
        visual=flat(slots.visual),
        positions=positions,
        rotated=rotated,
        stats={name: flat(value) for name, value in slots.stats.items()},
    )
