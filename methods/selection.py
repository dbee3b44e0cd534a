"""Arithmetic that several memories share."""

from __future__ import annotations

import torch
from torch import Tensor

from ..framework import Slots


def no_slots(slots: Slots) -> Slots:
    """The layer with everything evicted."""
    shape = (*slots.index.shape[:2], 0)
    return slots.keep(torch.empty(shape, dtype=torch.int64, device=slots.index.device))


def ranked_first(score: Tensor, chosen: Tensor) -> Tensor:
    """[B, K, S] the score with the chosen slots above all others; among them ties go to the newer.

    Args:
        score: [B, K, S].
        chosen: bool, broadcastable to the score.
    """
    highest = float("inf")
    if not score.is_floating_point():
        highest = torch.iinfo(score.dtype).max
    return score.masked_fill(chosen, highest)


def newest(slots: Slots, count: int) -> Tensor:
    """[S] bool: the last `count` slots along the stream."""
    places = torch.arange(slots.num_slots, device=slots.index.device)
    return places >= slots.num_slots - count


def over_group(per_query_head: Tensor, num_kv_heads: int) -> Tensor:
    """[B, K, S] sums over the GQA groups of numbers per query head [B, H, S]."""
    return per_query_head.unflatten(1, (num_kv_heads, -1)).sum(2)


def hashed_priority(index: Tensor, *salts: int) -> Tensor:
    """Reproducible random numbers in [0, 1) of float64, one per token number.

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014) over index and salts: no generator to
    carry, save or fork, and the same token always draws the same number.

    Args:
        index: int64 of any shape.
        salts: seed, layer, ...; other salts give independent numbers.
    """
    mixed = _mix(index + _signed(0x9E3779B97F4A7C15))
    for salt in salts:
        mixed = _mix(mixed + _signed((salt + 1) * 0x9E3779B97F4A7C15))
    # 53 bits, the width of a float64 mantissa.
    return _shift_right(mixed, 11).double() / (1 << 53)


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


def frame_cosine(frame: Tensor, previous: Tensor) -> Tensor:
    """[B, tokens] cosine of each token with the one at its place in the previous frame."""
    return torch.nn.functional.cosine_similarity(frame.float(), previous.float(), dim=-1)
