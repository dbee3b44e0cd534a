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
    """Place the slots without gaps, the last one right before `end`, in every head.

    Only `positions` are replaced: reading rotates the stored keys once, by the whole way from where
    they were produced, so that nothing drifts however often slots are placed anew. Under M-RoPE the
    tokens of a frame move together and keep their places in its grid; under RoPE every slot follows
    the one before it, as in the cache of StreamingLLM (arXiv 2309.17453).

    Args:
        end: [B] int64, the position of the next token.
    """
    if slots.num_slots == 0:
        return slots
    place = _by_rank if len(slots.positions) == 1 else _by_frame
    positions = place(slots, end)
    if slots.valid is not None:
        positions = torch.where(slots.valid, positions, slots.positions)
    return replace(slots, positions=positions)


def span(slots: Slots, end: Tensor) -> Tensor:
    """[B, K] how far behind `end` the earliest slot of each head stands, in positions."""
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
    low, high = slots.positions.amin(0), slots.positions.amax(0)
    if slots.valid is not None:
        # Padding joins no frame's extent: its run has its own number in front.
        low, high = (torch.where(slots.valid, x, torch.zeros_like(x)) for x in (low, high))
    fresh = torch.zeros_like(slots.frame)
    fresh[..., 1:] = (slots.frame.diff(dim=-1) != 0).long()
    if slots.valid is not None:
        fresh[..., 1:] |= (slots.valid.long().diff(dim=-1) != 0).long()
    run = fresh.cumsum(-1)
    first = torch.full_like(low, torch.iinfo(torch.int64).max).scatter_reduce(-1, run, low, "amin")
    last = torch.full_like(high, -1).scatter_reduce(-1, run, high, "amax")
    extent = (last - first + 1).where(last >= 0, torch.zeros_like(last))
    # Runs behind this one, this one included, say where it begins.
    behind = extent.flip(-1).cumsum(-1).flip(-1)
    start = end[:, None, None] - behind
    moved = (start - first).gather(-1, run)
    return slots.positions + moved
