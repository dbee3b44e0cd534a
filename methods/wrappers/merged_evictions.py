"""Merged evictions: what a memory evicts joins the most similar slot it keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from ...framework import Slots
from ...framework.memory import KeptChangingMemory
from ..selection import cosine_steps, evicted, grouped_sum, real_slots, unit_rows, widened


@final
@dataclass(frozen=True)
class MergedEvictions(KeptChangingMemory):
    """Fold evicted slots into kept ones that resemble them, instead of losing them.

    Rule: the inner memory chooses. Then, per layer and KV head, every visual slot it evicted looks
    for the kept visual slot with the most similar key (cosine; to 2^-20, ties go to the newer). At
    `threshold` or above it joins that slot; below, it is dropped as before. A slot's key and value
    are the running means of all tokens that ever joined it, each token counting once.
    Keys are compared and averaged at one and the same position: the evicted one is turned to where
    the kept one stands. Since RoPE keeps lengths and angles between keys at one position, that is
    the cosine of the keys before RoPE, and one matrix of evicted x kept serves all pairs. Compared
    as cached, the same patch a minute later would look unlike itself.
    Text neither joins nor is joined: prompt, markers and the attention sinks among them stay as
    they are. `Slots.stats["merged"]` is the number of other tokens in a slot.

    Sources in spirit, whose names it does not bear: Wan et al., "D2O", arXiv 2406.13035; Zhang et
    al., "CaM: Cache Merging for Memory-efficient LLMs Inference", ICML 2024.

    Args:
        inner: the memory that chooses; any that does not itself merge.
        threshold: least cosine in [-1, 1]. High values merge little but near copies, and 1 next to
            nothing; -1 merges every eviction, and slots become averages of unlike tokens.

    Raises:
        ValueError: if the threshold is no cosine, or the inner memory merges.

    Differences from the released D2O: it compares keys as cached. Its threshold moves: the mean of
    the first evicted slots' highest cosines, then half itself and half the mean of each later
    step's. A slot joins in every head or in none, by the mean over heads of its highest cosine.
    What it joins becomes (slot + sum of cosine x joining) / (1 + their number), keys and values
    alike: the plain cosine is the weight (the paper has its exponential), nothing divides by the
    weights, and a slot counts once whatever it took in before. Text and its four sinks, which never
    leave, may be joined. The first two layers and the last evict nothing.
    Differences from the released CaM: nothing is compared. It merges values alone: the slot that
    leaves the window of newest tokens adds 1/32 of its value to each of the 32 slots behind it, or
    1/16 to 16 in its streaming code, and whether it does is drawn per head, with its attention
    weight over the mean of the window's as probability.

    Cost per frame: the inner memory's, and a product of evicted x kept keys per KV head, which is
    held at once. Bytes held: the inner memory's, and a count for every slot. In bfloat16 a mean of
    some 256 tokens no longer moves: one token's share is below its precision.
    """

    threshold: float
    merges = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner.merges:
            raise ValueError(
                f"MergedEvictions: {self.inner!r} merges slots itself; wrap a memory that only "
                "selects"
            )
        if isinstance(self.threshold, bool) or not -1 <= self.threshold <= 1:
            raise ValueError(
                "MergedEvictions: threshold is a cosine and must lie in [-1, 1], got "
                f"{self.threshold!r}"
            )

    def changed(self, slots: Slots, kept: Slots) -> Slots:
        """The kept slots with the others folded in."""
        uniform = slots.valid is None and kept.valid is None
        if kept.num_slots == 0 or (uniform and kept.num_slots == slots.num_slots):
            return kept
        gone = _evicted_slots(slots, kept)
        # All keys at one place, the newest token's: the way there stays short in an endless stream.
        at = _rotated(slots)[..., -1:]
        content = _turned_to(at, gone)
        place, joins = self._partners(gone, content, kept, at)
        own, joining = _tokens(kept), _tokens(gone) * joins
        total = own.scatter_add(-1, place, joining)
        # Shares before sums: a sum of all tokens of an hour would outgrow its range.
        stays = _share(own, total, content)
        comes = _share(joining, total.gather(-1, place), content)

        def come(rows: Tensor) -> Tensor:
            return grouped_sum(comes * rows, place, kept.num_slots)

        assert slots.turn is not None and kept.rotated is not None  # inside a step
        keys = stays * widened(kept.keys) + slots.turn(come(content), kept.rotated - at)
        values = stays * widened(kept.values) + come(widened(gone.values))
        return replace(
            kept,
            keys=keys.to(kept.keys.dtype),
            values=values.to(kept.values.dtype),
            stats={**kept.stats, "merged": total - 1},
        )

    def _partners(
        self, gone: Slots, content: Tensor, kept: Slots, at: Tensor
    ) -> tuple[Tensor, Tensor]:
        """[B, K, E] the place of the most similar kept slot, and whether to join it."""
        cosine = unit_rows(content) @ unit_rows(_turned_to(at, kept)).transpose(-1, -2)
        hidden = ~(real_slots(kept) & kept.visual)
        # Rounding may leave [-1, 1], and a threshold of -1 merges all.
        cosine = cosine.clamp(-1, 1).masked_fill(hidden[:, :, None], -2)
        # Reversed, the first of equal ones is the newest.
        place = kept.num_slots - 1 - cosine_steps(cosine).flip(-1).argmax(-1)
        alike = cosine.gather(-1, place[..., None])[..., 0] >= self.threshold
        return place, real_slots(gone) & gone.visual & alike


def _evicted_slots(slots: Slots, kept: Slots) -> Slots:
    """What was not kept, in stream order; padded where heads lost different numbers."""
    gone = evicted(slots, kept)
    if slots.valid is None and kept.valid is None:
        # Their number follows from the shapes: a stable sort puts them behind, in order.
        return slots.keep(gone.byte().argsort(dim=-1, stable=True)[..., kept.num_slots :])
    return slots.keep(gone)


def _turned_to(at: Tensor, slots: Slots) -> Tensor:
    """[B, K, S, D] keys turned to one position [axes, B, K, 1], at least in float32."""
    assert slots.turn is not None  # inside a step
    return slots.turn(widened(slots.keys), at - _rotated(slots))


def _rotated(slots: Slots) -> Tensor:
    """[axes, B, K, S] positions that the stored keys stand at."""
    assert slots.rotated is not None  # filled by __post_init__
    return slots.rotated


def _tokens(slots: Slots) -> Tensor:
    """[B, K, S] int64: tokens whose mean each slot is."""
    return 1 + slots.stats.get("merged", torch.zeros_like(slots.index))


def _share(tokens: Tensor, of: Tensor, like: Tensor) -> Tensor:
    """[B, K, S, 1] quotients in the dtype of `like`; torch divides integers in float32."""
    return (tokens.to(like.dtype) / of.to(like.dtype))[..., None]
