"""Arithmetic that several memories share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..framework import CrossFrameMemory, Slots
from ..framework import ranked_first as ranked_first

FIXED_POINT = 2.0**40
# Some 1e-6: what float32 makes of the cosine of equal vectors differs from 1 by less.
COSINE_STEPS = 2.0**20


def no_slots(slots: Slots) -> Slots:
    """The layer with everything evicted."""
    shape = (*slots.index.shape[:2], 0)
    return slots.keep(torch.empty(shape, dtype=torch.int64, device=slots.index.device))


def newest(slots: Slots, count: int) -> Tensor:
    """[S] bool: the last `count` slots along the stream."""
    places = torch.arange(slots.num_slots, device=slots.index.device)
    return places >= slots.num_slots - count


def real_slots(slots: Slots) -> Tensor:
    """[B, K, S] bool: all slots but the padding of ragged heads."""
    return torch.ones_like(slots.visual) if slots.valid is None else slots.valid


def require_fits(owner: str, name: str, count: int, capacity: int | None) -> None:
    """Refuse to promise more slots than there are; the ValueError names owner, setting and both
    numbers."""
    if capacity is not None and count > capacity:
        raise ValueError(
            f"{owner}: {name}={count} do not fit into capacity={capacity}; raise capacity or "
            f"lower {name}"
        )


def over_group(per_query_head: Tensor, num_kv_heads: int) -> Tensor:
    """[B, K, S] sums over the GQA groups of numbers per query head [B, H, S]."""
    return per_query_head.unflatten(1, (num_kv_heads, -1)).sum(2)


def queries_that_see(slots: Slots) -> Tensor:
    """[S] int64: how many of the step's queries see each slot; carried ones, all of them."""
    to_the_end = torch.arange(slots.num_slots, 0, -1, device=slots.index.device)
    return to_the_end.clamp(max=slots.num_new)


def require_used(owner: str, what: str, used: bool, inner: CrossFrameMemory) -> None:
    """Refuse to change what of a step's attention, its "mass" or "weights", a memory does not look
    at; the ValueError names owner and memory."""
    if not used:
        raise ValueError(
            f"{owner} changes the attention {what} of a step, but {inner!r} does not use it: "
            "wrap a memory that ranks by attention, such as StateKVMemory"
        )


def ranks(score: Tensor) -> Tensor:
    """[..., S] int64: how many of the scores [..., S] rank above each one; ties go to the newer."""
    order = score.flip(-1).argsort(dim=-1, descending=True, stable=True)
    return order.argsort(dim=-1).flip(-1)


def widened(numbers: Tensor) -> Tensor:
    """The numbers as float32 at least, for sums and squares: bfloat16 has 8 bits."""
    return numbers if numbers.dtype == torch.float64 else numbers.float()


def unit_rows(rows: Tensor) -> Tensor:
    """The vectors [..., D] at length 1, zeros left alone; float32, or float64 if they are."""
    return functional.normalize(widened(rows), dim=-1)


def cosine_steps(cosine: Tensor) -> Tensor:
    """The cosines as int64 in steps of 2^-20, so that equal vectors are equally similar, and sums
    the same in any order."""
    return (cosine * COSINE_STEPS).round().long()


def pooled_mean(score: Tensor, counted: Tensor, width: int) -> Tensor:
    """[B, K, S] the mean of scores over each slot and the (width - 1) / 2 places on either side of
    it, for an odd width. Only counted places (bool, broadcastable to the scores) enter, so that
    neither the ends nor padding pull it down; 0 where there are none."""
    counted = counted.expand_as(score)
    total = around(score.masked_fill(~counted, 0), width).sum(-1)
    return total / around(counted.long(), width).sum(-1).clamp(min=1)


def pooled_max(score: Tensor, counted: Tensor, width: int) -> Tensor:
    """[B, K, S] the most of scores, nowhere below 0, over the places that `pooled_mean` takes."""
    return around(score.masked_fill(~counted, 0), width).amax(-1)


def around(column: Tensor, width: int, outside: int = 0) -> Tensor:
    """[B, K, S, width] each place and its neighbours in stream order, `outside` beyond the ends."""
    return functional.pad(column, (width // 2, width // 2), value=outside).unfold(-1, width, 1)


def fixed_point(numbers: Tensor) -> Tensor:
    """The numbers as int64 in units of 2^-40, for sums that must not depend on their order.

    On CUDA `scatter_add` adds in any order. Sums of floats would change in the last bit from run to
    run, and a near tie keep other slots for the same input; sums of integers are exact. Room for
    2^23 numbers of size 1.
    """
    return (numbers * FIXED_POINT).round().long()


def grouped_sum(rows: Tensor, group: Tensor, count: int) -> Tensor:
    """[B, K, count, D] sums of the rows of each group, the same in whatever order they are added.

    Args:
        rows: [B, K, S, D], float32 or float64; sums stay below 2^23.
        group: [B, K, S] int64 numbers below `count`.
    """
    units = fixed_point(rows)
    sums = units.new_zeros(*units.shape[:2], count, units.shape[-1])
    sums = sums.scatter_add(2, group[..., None].expand_as(units), units)
    return sums.to(rows.dtype) / FIXED_POINT


def places_in(slots: Slots, kept: Slots) -> Tensor:
    """[B, K, S'] where each kept slot stood among `slots`; padding stands anywhere."""
    places = torch.searchsorted(slots.index.contiguous(), kept.index.contiguous())
    return places.clamp(max=slots.num_slots - 1)


def evicted(slots: Slots, kept: Slots) -> Tensor:
    """[B, K, S] bool: the real slots that are not among the kept ones."""
    held = torch.zeros_like(slots.index)
    held = held.scatter_add(-1, places_in(slots, kept), real_slots(kept).long())
    return real_slots(slots) & (held == 0)


def frame_cosine(frame: Tensor, previous: Tensor) -> Tensor:
    """[B, tokens] cosine of each token with the one at its place in the previous frame, at most 1;
    float32, or float64 if they are."""
    return functional.cosine_similarity(widened(frame), widened(previous), dim=-1).clamp(max=1)
