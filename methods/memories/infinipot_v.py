"""InfiniPot-V: recent frames, patches that changed since, and slots of large value norm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from ...framework import FrameTokens, ScoringMemory, Slots
from ..selection import (
    FIXED_POINT,
    around,
    fixed_point,
    ranked_first,
    ranks,
    real_slots,
    unit_rows,
    widened,
)

# Patches that are averaged over, by quarter of the layers; 1 is no pooling.
POOLING_WIDTHS = (7, 5, 3, 1)


@final
@dataclass(frozen=True)
class InfiniPotVMemory(ScoringMemory):
    """Keep patches that changed over time (TaR), then slots of large values (VaN).

    Rule: per layer and KV head, on the cached post-RoPE keys.
    1. The text before the video (frame -1) stays; C is the capacity left beside it.
    2. Recent are the newest whole frames that fill at most `recent_ratio` of the visual slots held,
       and the newest frame always. TaR of an older visual slot = -mean cosine of its key with the
       same patch's keys in the recent frames. The C - round((1 - tar_share) C) first of [recent
       slots, newest first; older visual slots by TaR] stay.
    3. The room left goes to the largest value norms ||V|| (VaN) of all other slots.
    Text markers of a recent frame stay with it; older ones compete by value norm alone. A patch
    that no recent frame has is like a patch at right angles, TaR 0: in practice above most.

    Paper: Kim, Shim, Choi, Chang, "InfiniPot-V: Memory-Constrained KV Cache Compression for
    Streaming Video Understanding", arXiv 2506.15745.

    Patches are told apart by `FrameTokens.stats["patch"]`, numbers that mean the same place in
    every frame. For a whole frame without them its visual tokens are counted 0, 1, 2, ..., which
    takes all frames of a stream for one grid.

    Args:
        capacity: slots per KV head, the prompt's included; a longer prompt loses its oldest tokens.
            None is full attention.
        recent_ratio: share of the visual slots that recent frames may fill. More recent frames
            make a steadier comparison and leave less room for old patches.
        tar_share: share of C for step 2; 0 ranks by value norm alone.
        pooling: average value norms before step 3 over patches of the same frame that are held and
            at most 3, 2, 1 or 0 numbers away, by quarter of the layers: deep layers rank single
            patches, early ones regions.

    Raises:
        ValueError: if a share is outside 0..1, or at a push if a frame was thinned before it came
            here and has no patch numbers.

    Differences from the released code: it compresses when a block of frames is full, this after
    every step. It reshapes the cache to [frames, patches] although heads have lost different
    patches by then, and so compares unrelated ones; here the numbers travel with the slots. It
    counts frames as slots / tokens per frame, which step 2 repeats for frames of any size, but may
    find none recent. Its system prompt comes on top of the capacity. It pools over frames, rows
    and columns in the first quarter of the layers, over rows and columns in the second, and in the
    third over three slots in a row, of two frames where one ends; beyond the edges it counts zeros.
    A thinned frame has no such grid, so pooling here follows the patch numbers, stays inside a
    frame, and leaves out what is not held.

    Cost per frame: attention over at most capacity + frame tokens; no attention mass. The update
    is linear in the slots but for sorting, with a few int64 copies of a layer's keys while it runs.
    Bytes held: `capacity` slots with a patch number each, and the last frame's tokens.
    """

    recent_ratio: float = 0.25
    tar_share: float = 0.5
    pooling: bool = False
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("recent_ratio", "tar_share"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(
                    f"InfiniPotVMemory: {name} is a share and must lie in [0, 1], got {share!r}"
                )

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        del previous, state
        if "patch" in frame.stats:
            return frame
        visual = frame.visual_mask()
        if frame.offsets is not None and bool(visual.any()):
            raise ValueError(
                "InfiniPotVMemory: a frame was thinned before it came here, and its "
                f"{frame.num_tokens} tokens have no patch numbers; let the model's encode give "
                'stats={"patch": ...}, [batch, tokens], before tokens are dropped'
            )
        patch = visual.long().cumsum(-1) - 1
        return replace(frame, stats={**frame.stats, "patch": patch.clamp(min=0)})

    def score(self, slots: Slots) -> Tensor:
        norms = torch.linalg.vector_norm(widened(slots.values), dim=-1)
        return _pooled(norms, slots) if self.pooling else norms

    def protected(self, slots: Slots) -> Tensor | None:
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is None or slots.num_slots <= budget:
            return None
        prompt = real_slots(slots) & (slots.frame < 0)
        room = (budget - prompt.sum(-1, keepdim=True)).clamp(min=0).double()
        return prompt | self._by_change(slots, room - ((1 - self.tar_share) * room).round())

    def _by_change(self, slots: Slots, share: Tensor) -> Tensor:
        """[B, K, S] bool: the first `share` [B, K, 1] of recent slots and older patches by TaR."""
        visual = real_slots(slots) & slots.visual
        recent = _recent(slots, self.recent_ratio)
        change = -_likeness(slots.keys, _patches(slots), visual & recent)
        order = ranked_first(change.masked_fill(~visual, -float("inf")), recent)
        return (visual | recent) & (ranks(order) < share)


def _recent(slots: Slots, ratio: float) -> Tensor:
    """[B, K, S] bool: slots of the newest whole frames, their visual slots within the ratio."""
    held = real_slots(slots)
    visual = (held & slots.visual).long()
    seen = visual.cumsum(-1)
    frame = slots.frame.masked_fill(~held, -2).contiguous()  # padding stands in front
    before = (seen - visual).gather(-1, torch.searchsorted(frame, frame))
    filled, seen = seen[..., -1:] - before, seen[..., -1:].double()
    # Room for rounding: 0.35 * 2800 is a little less than the 980 of 7 frames of 140 tokens.
    whole = filled <= ratio * seen + 1e-9 * seen
    return (frame >= 0) & (whole | (frame == frame[..., -1:]))


def _likeness(keys: Tensor, patch: Tensor, recent: Tensor) -> Tensor:
    """[B, K, S] mean cosine of each key with the recent keys of its patch; 0 if there are none.

    The mean of cosines is the dot product with the mean unit vector, so that one sum per patch
    serves all slots and no table of frames x patches is built.
    """
    unit = unit_rows(keys)
    group = _grouped(patch)
    rows = group[..., None].expand_as(unit)
    recent_units = fixed_point(unit * recent[..., None])
    total = torch.zeros_like(recent_units).scatter_add(2, rows, recent_units).gather(2, rows)
    count = torch.zeros_like(group).scatter_add(-1, group, recent.long()).gather(-1, group)
    dots = (unit * total.to(unit.dtype)).sum(-1) / FIXED_POINT
    return dots / count.clamp(min=1)


def _grouped(patch: Tensor) -> Tensor:
    """[B, K, S] numbers below S, equal where patches are: a size that no device must be asked."""
    ordered, order = patch.sort(dim=-1)
    starts = ordered.diff(dim=-1, prepend=ordered[..., :1]) != 0
    return torch.zeros_like(order).scatter(-1, order, starts.long().cumsum(-1))


def _pooled(norms: Tensor, slots: Slots) -> Tensor:
    """[B, K, S] averages of value norms over neighbouring patches; text keeps its own."""
    width = POOLING_WIDTHS[len(POOLING_WIDTHS) * slots.layer // slots.num_layers]
    visual, patch = real_slots(slots) & slots.visual, _patches(slots)

    near = (around(patch, width) - patch[..., None]).abs() <= width // 2
    same_frame = around(slots.frame, width, -2) == slots.frame[..., None]
    chosen = near & same_frame & around(visual.long(), width).bool()
    # Exact sums: patches with the same neighbours tie, whatever order these are added in.
    total = (around(fixed_point(norms), width) * chosen).sum(-1).to(norms.dtype) / FIXED_POINT
    return torch.where(visual, total / chosen.sum(-1).clamp(min=1), norms)


def _patches(slots: Slots) -> Tensor:
    """[B, K, S] patch numbers; 0 while only the prompt was seen."""
    return slots.stats.get("patch", torch.zeros_like(slots.index))
