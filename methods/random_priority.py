"""Reproducible random numbers for slots and tokens, and memories that rank by them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..framework import ScoringMemory, Slots, require_count


@dataclass(frozen=True)
class SeededMemory(ScoringMemory):
    """A memory that ranks by random priorities; subclasses say when they are drawn.

    Args:
        seed: other seeds draw other slots.

    Raises:
        ValueError: if the seed is not an integer of at least 0.
    """

    seed: int = 0
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(type(self).__name__, "seed", self.seed, unbounded=False)


def slot_priority(slots: Slots, *salts: int | Tensor) -> Tensor:
    """[B, K, S] random numbers in [0, 1), drawn apart for every layer, KV head and token, with
    salts as for `hashed_priority`."""
    heads = torch.arange(slots.index.shape[1], device=slots.index.device)[:, None]
    return hashed_priority(slots.index, slots.layer, heads, *salts)


def hashed_priority(index: Tensor, *salts: int | Tensor) -> Tensor:
    """Reproducible random numbers in [0, 1) of float64, one per token number.

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014) over index and salts: no generator to
    carry, save or fork, and the same token always draws the same number.

    Args:
        index: int64 of any shape.
        salts: seed, layer, ...; other salts give independent numbers. Integers, or int64 that
            broadcast with the index.
    """
    mixed = _mix(index + _signed(0x9E3779B97F4A7C15))
    for salt in salts:
        mixed = _mix(mixed + _spread(salt))
    # 53 bits, the width of a float64 mantissa.
    return _shift_right(mixed, 11).double() / (1 << 53)


def _spread(salt: int | Tensor) -> int | Tensor:
    """The same number for a salt given as an integer and as a tensor."""
    if isinstance(salt, Tensor):
        return (salt + 1) * _signed(0x9E3779B97F4A7C15)
    return _signed((salt + 1) * 0x9E3779B97F4A7C15)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift_right(value, 30)) * _signed(0xBF58476D1CE4E5B9)
    value = (value ^ _shift_right(value, 27)) * _signed(0x94D049BB133111EB)
    return value ^ _shift_right(value, 31)


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """A logical shift: torch's int64 shift copies the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    """The int64 with the same lowest 64 bits, so that products wrap as unsigned ones do."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
