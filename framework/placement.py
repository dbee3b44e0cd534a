"""Where carried slots are placed before the next token: position policies on top of RoPE."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .slots import Slots


def next_position(slots: Slots) -> Tensor:
    """[B] the position after the newest token, while a step passes or the slots end a stream."""
    return slots.positions.amax((0, 2, 3)) + 1


def close_gaps(slots: Slots, end: Tensor) -> Slots:
    """Place the slots without gaps in every head, the last one right before `end`, [B] int64 the
    position of the next token.

    Only `positions` are replaced: reading rotates the stored keys once, by the whole way from where
    they were produced, so that nothing drifts however often slots are placed anew. Under RoPE every
    slot follows the one before it, as in the cache of StreamingLLM (arXiv 2309.17453). Under M-RoPE
    the slots of a frame move together, as far as their frame lies behind what follows: they keep
    their places in its grid. Frames that run side by side on some axis (Qwen2.5-VL moves on in time
    alone) have no gap there to close.
    """
    if slots.num_slots == 0:
        return slots
    place = _by_rank if len(slots.positions) == 1 else _by_frame
    positions = place(slots, end)
    if slots.valid is not None:
        positions = torch.where(slots.valid, positions, slots.positions)
    return replace(slots, positions=positions)


def placed_after(slots: Slots, kept: Slots) -> Slots:
    """What a step kept of the [carried ; new] that it showed, without gaps before the next token;
    left alone while nothing was evicted."""
    nothing_evicted = kept.num_slots == slots.num_slots and kept.valid is None
    if nothing_evicted and not slots.moved:
        return kept
    return close_gaps(kept, next_position(slots))


def span(slots: Slots, end: Tensor) -> Tensor:
    """[B, K] how far behind `end` the earliest slot of each head stands, in positions; 0 without
    slots."""
    if slots.num_slots == 0:
        return torch.zeros_like(slots.index[..., :0].sum(-1))
    earliest = slots.positions.amin(0)
    if slots.valid is not None:
        earliest = torch.where(slots.valid, earliest, end[:, None, None])
    return end[:, None] - earliest.amin(-1)


def _by_rank(slots: Slots, end: Tensor) -> Tensor:
    """[1, B, K, S] consecutive positions that stop before `end`."""
    behind = torch.arange(slots.num_slots, 0, -1, device=end.device)
    return (end[:, None, None] - behind).expand(slots.positions.shape).clone()


def _by_frame(slots: Slots, end: Tensor) -> Tensor:
    """[axes, B, K, S] positions with the gaps between runs of one frame closed."""
    run = _runs(slots)
    stop = end[:, None, None].expand_as(run)
    # Where there are fewer runs than slots, the rest are empty and stand at `end`.
    first = _extreme(stop, run, slots.positions.amin(0), "amin")
    last = _extreme(stop - 1, run, slots.positions.amax(0), "amax")
    following = torch.cat([first[..., 1:], stop[..., :1]], -1)
    gap = (following - last - 1).clamp(min=0)
    # A run moves by the gaps behind it, up to `end`.
    shift = gap.flip(-1).cumsum(-1).flip(-1)
    return slots.positions + shift.gather(-1, run)


def _runs(slots: Slots) -> Tensor:
    """[B, K, S] number of the run of slots of one frame; padding is a run of its own in front."""
    starts = slots.frame.diff(dim=-1, prepend=slots.frame[..., :1]) != 0
    if slots.valid is not None:
        starts |= slots.valid.diff(dim=-1, prepend=slots.valid[..., :1])
    return starts.cumsum(-1)


def _extreme(empty: Tensor, run: Tensor, value: Tensor, which: str) -> Tensor:
    """[B, K, S] per run number the least or largest of its slots' values, or `empty`."""
    return empty.scatter_reduce(-1, run, value, which, include_self=False)
