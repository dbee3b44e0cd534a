"""The archive in 8 or 4 bits per number, with one range of numbers per token, head and group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..counts import require_count
from .codec import Archive

_CODES = ("key_codes", "value_codes")


@final
@dataclass(frozen=True)
class Int8Archive(Archive):
    """Round keys and values to 256 levels between the least and the largest number of a vector.

    Rule: per token and KV head, code = round((number - low) / step) in 0..255, with low and step
    from the vector's own range; unpacking gives low + code * step in float32. No number is off by
    more than half a step, (max - min) / 510 but for the rounding of low and step to bfloat16.

    Differences from quantised KV caches (KIVI, arXiv 2402.02750): keys too are rounded per token,
    not per channel, so that every token stands alone. Channels whose keys are much larger than the
    rest therefore widen the step of all others.

    Cost per frame: one pass over the frame's keys and values.
    Bytes held: D + 4 per token, KV head and tensor, where bfloat16 holds 2 D.
    """

    lossy = True

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return _packed(keys, values, keys.shape[-1], 255)

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return _unpacked(packed, packed["key_codes"].shape[-1])

    def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
        codes = packed["key_codes"]
        return _restore(codes, packed["key_ranges"], codes.shape[-1])

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        _restore_into(packed, keys.shape[-1], (keys, values))


@final
@dataclass(frozen=True)
class Int4Archive(Archive):
    """Round keys and values to 16 levels per group of channels; two numbers to the byte.

    Rule: as `Int8Archive` with codes 0..15, and a range of its own for every `group` channels of a
    vector; where head_dim is no multiple of it, the last group is smaller.

    Args:
        group: channels that share a range. Smaller groups follow outlier channels more closely,
            for 4 bytes each; from head_dim on, one group is the whole vector.

    Raises:
        ValueError: if group is not a positive integer; at the first push, if head_dim is odd.

    Differences from quantised KV caches: as `Int8Archive`.

    Cost per frame: one pass over the frame's keys and values.
    Bytes held: D / 2 + 4 * ceil(D / group) per token, KV head and tensor, where bfloat16 holds 2 D.
    """

    group: int = 32
    lossy = True

    def __post_init__(self) -> None:
        require_count("Int4Archive", "group", self.group, least=1, unbounded=False)

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        if keys.shape[-1] % 2:
            raise ValueError(
                f"Int4Archive packs two numbers to the byte: head_dim must be even, got "
                f"{keys.shape[-1]}; use Int8Archive"
            )
        packed = _packed(keys, values, self.group, 15)
        return packed | {name: _paired(packed[name]) for name in _CODES}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return _unpacked(_with_codes_apart(packed), self.group)

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        _restore_into(_with_codes_apart(packed), self.group, (keys, values))

    def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
        return _restore(_apart(packed["key_codes"]), packed["key_ranges"], self.group)


def _packed(keys: Tensor, values: Tensor, group: int, top: int) -> dict[str, Tensor]:
    packed: dict[str, Tensor] = {}
    for name, rows in (("key", keys), ("value", values)):
        packed[f"{name}_codes"], packed[f"{name}_ranges"] = _quantise(rows, group, top)
    return packed


def _unpacked(packed: Mapping[str, Tensor], group: int) -> tuple[Tensor, Tensor]:
    keys, values = (_restore(codes, ranges, group) for codes, ranges in _parts(packed))
    return keys, values


def _restore_into(packed: Mapping[str, Tensor], group: int, rooms: tuple[Tensor, Tensor]) -> None:
    for room, (codes, ranges) in zip(rooms, _parts(packed), strict=True):
        if _takes(room, codes, group):
            _fill(_grouped(room, group), codes, ranges, group)
        else:
            room.copy_(_restore(codes, ranges, group))


def _parts(packed: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Codes and ranges of keys, and of values."""
    return [(packed[f"{name}_codes"], packed[f"{name}_ranges"]) for name in ("key", "value")]


def _with_codes_apart(packed: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {**packed, **{name: _apart(packed[name]) for name in _CODES}}


def _paired(codes: Tensor) -> Tensor:
    """[..., D / 2] bytes of two codes 0..15 each, the earlier one in the lower half."""
    return codes[..., ::2] | (codes[..., 1::2] << 4)


def _apart(pairs: Tensor) -> Tensor:
    """[..., D] codes from bytes of two."""
    # 0xhl becomes 0x0h0l, of which little-endian machines store the l first; half of the time of
    # stacking both halves.
    wide = pairs.to(torch.int16).bitwise_left_shift_(4)
    return wide.bitwise_or_(pairs).bitwise_and_(0x0F0F).view(torch.uint8)


def _quantise(rows: Tensor, group: int, top: int) -> tuple[Tensor, Tensor]:
    """Codes 0..top, uint8 [..., D], and bfloat16 ranges [..., groups, 2]: low and step of each.

    Low is rounded down and step up, so that the codes still span every number.
    """
    grouped = _grouped(rows.float(), group)
    least, most = grouped.aminmax(dim=-1, keepdim=True)
    low = _rounded_down(least)
    step = -_rounded_down((low.float() - most) / top)
    divisor = torch.where(step == 0, 1, step).float()  # of a group of equal numbers
    codes = ((grouped - low.float()) / divisor).round().to(torch.uint8)
    return codes.flatten(-2)[..., : rows.shape[-1]], torch.cat([low, step], -1)


def _restore(codes: Tensor, ranges: Tensor, group: int) -> Tensor:
    """[..., D] float32 numbers from codes [..., D]."""
    numbers = torch.empty_like(_grouped(codes, group), dtype=torch.float32)
    _fill(numbers, codes, ranges, group)
    return numbers.flatten(-2)[..., : codes.shape[-1]]


def _fill(numbers: Tensor, codes: Tensor, ranges: Tensor, group: int) -> None:
    """Write the numbers [..., groups, group] of codes [..., D]."""
    low, step = ranges.float().split(1, -1)
    # In place, as new memory costs more than the arithmetic; codes of float32 run vectorised.
    numbers.copy_(_grouped(codes, group)).mul_(step).add_(low)


def _takes(room: Tensor, codes: Tensor, group: int) -> bool:
    """Whether float32 numbers can be made in the room itself, a whole group after the other."""
    whole = codes.shape[-1] % min(group, codes.shape[-1]) == 0
    return whole and room.dtype == torch.float32 and room.device == codes.device


def _grouped(rows: Tensor, group: int) -> Tensor:
    """[..., groups, group] from [..., D]; the last number fills a last group that is smaller."""
    size = min(group, rows.shape[-1])
    missing = -rows.shape[-1] % size
    if missing:
        rows = torch.cat([rows, rows[..., -1:].expand(*rows.shape[:-1], missing)], -1)
    return rows.unflatten(-1, (-1, size))


def _rounded_down(numbers: Tensor) -> Tensor:
    """The largest bfloat16 numbers that are not above the given float32 ones."""
    near = numbers.bfloat16()
    below = near.nextafter(torch.full_like(near, float("-inf")))
    return torch.where(near.float() > numbers, below, near)
