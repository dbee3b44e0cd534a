"""StreamMem: slots that the chat template's own text attends to, and a prototype of each frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots, VideoModel, require_count
from ..selection import evicted, grouped_sum, places_in, ranks, widened


@final
@dataclass(frozen=True)
class StreamMemMemory(ScoringMemory):
    """Keep what a generic text behind the video attends to, and one average per thinned frame.

    Rule: after every step, per layer and KV head,
    1. The probe text passes behind [carried ; step] and is forgotten; the attention mass it hands
       out is a slot's saliency.
    2. The text before the video (frame -1) stays. Each frame of the step sets its least salient
       visual token aside as carrier of its prototype. The room left goes to the most salient of all
       other slots: carried ones, earlier prototypes, text markers and the step's own.
    3. A frame that lost a visual token leaves a prototype: the means of the keys and of the values
       of all its visual tokens, kept or not, weighted by saliency. It takes the token number of
       the carrier, which would have been the first to go, and stands at the mean position of the
       tokens, rounded; keys are turned there before they are averaged. A frame kept whole leaves
       none, its carrier stays as it was.
    A prototype then competes by saliency like any slot; once evicted it is gone. It is marked by
    `Slots.stats["merged"]`, the number of other tokens in it.

    Paper: Yang et al., "StreamMem: Query-Agnostic KV Cache Memory for Streaming Video
    Understanding", arXiv 2508.15717. Built from summaries of the paper, not from its code, of which
    none was found: where they are silent (the places and later life of prototypes, the heads, text)
    the rule above is our choice.

    Args:
        capacity: slots per KV head, prompt and prototypes included; None is full attention, which
            merges nothing. Too little room for a prototype of each frame of a step and the prompt
            costs the oldest of these first. A clip, 8 frames in the paper, is a step here:
            `frames_per_step=8`.
        probe_ids: token ids of the probe; None takes what the model's prompt puts behind the video
            and an empty question, the paper's proxy for any question.

    Raises:
        ValueError: if ids are no integers from 0, or at a push for None with a model that has no
            tokenizer.

    Differences from the paper: frames alike are not averaged before they enter;
    `TokenDroppingMemory(StreamMemMemory(...), threshold=0.95)` drops tokens that did not change.
    Positions are the model's own, not stretched by YaRN (a checkpoint set up for YaRN keeps it).
    The paper divides one budget evenly by layers and, as summarised, ranks the tokens of a layer;
    here every KV head has its own `capacity` and ranking. Its softmax is over the visual tokens
    alone, here over all that the text sees. Its prototypes are sums of keys at whatever positions
    these stand, as far as summaries say; here keys meet at one position first.

    Cost per frame: attention over at most capacity + frame tokens, and a second, short pass of the
    probe text, counted in `costs`. Bytes held: `capacity` slots with a number each.
    """

    probe_ids: tuple[int, ...] | None = None
    merges = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probe_ids is None:
            return
        for token in self.probe_ids:
            require_count("StreamMemMemory", "probe_ids", token, unbounded=False)
        if len(self.probe_ids) == 0:
            raise ValueError(
                "StreamMemMemory: probe_ids must hold at least one token; None takes the model's "
                "own text"
            )
        # A saved session gives settings back as lists.
        object.__setattr__(self, "probe_ids", tuple(self.probe_ids))

    def probe(self, model: VideoModel) -> Tensor | None:
        if self.probe_ids is not None:
            return torch.tensor([self.probe_ids])
        try:
            return model.question_ids("")
        except ValueError as error:
            raise ValueError(
                "StreamMemMemory: the model has no text of its own behind the video, give "
                f"probe_ids ({error})"
            ) from error

    def score(self, slots: Slots) -> Tensor:
        assert slots.probe_mass is not None  # there is always a probe
        return slots.probe_mass

    def protected(self, slots: Slots) -> Tensor:
        frames = _Frames(slots)
        carried = torch.zeros_like(slots.visual[..., : frames.first])
        return torch.cat([carried, frames.carrier], -1) | (slots.frame < 0)

    def select(self, slots: Slots, score: Tensor) -> Slots:
        kept = super().select(slots, score)
        if kept.num_slots == slots.num_slots:
            return kept
        return _with_prototypes(slots, evicted(slots, kept)).keep(places_in(slots, kept))


class _Frames:
    """The frames of a step as columns [B, K, T] over its own slots.

    Attributes:
        first: place of the first of them among all slots.
        carrier: bool, one visual slot of each frame: the first to go, of equal ones the older.
    """

    def __init__(self, slots: Slots) -> None:
        assert slots.probe_mass is not None  # there is always a probe
        self.first = slots.num_slots - slots.num_new
        self.visual = slots.visual[..., self.first :]
        self.saliency = slots.probe_mass[..., self.first :]
        frame = slots.frame[..., self.first :]
        self.group = (frame.diff(dim=-1, prepend=frame[..., :1]) != 0).long().cumsum(-1)
        order = ranks(self.saliency)
        self.carrier = self.visual & (order == self.largest(order))

    def largest(self, column: Tensor) -> Tensor:
        """The largest number at the visual slots of each slot's frame; -1 if it has none."""
        seen = column.masked_fill(~self.visual, -1)
        lowest = torch.full_like(seen, -1)
        return lowest.scatter_reduce(-1, self.group, seen, "amax").gather(-1, self.group)

    def total(self, column: Tensor) -> Tensor:
        """The sum of integers over the visual slots of each slot's frame."""
        seen = column * self.visual
        return torch.zeros_like(seen).scatter_add(-1, self.group, seen).gather(-1, self.group)

    def mean(self, rows: Tensor) -> Tensor:
        """[B, K, T, D] the mean by saliency over the visual slots of each slot's frame."""
        rows = widened(rows)
        highest = self.largest(self.saliency)
        # Where all of a frame rounds to no saliency at all, its tokens count alike.
        share = torch.where(highest > 0, self.saliency / highest, 1) * self.visual
        share = share[..., None].to(rows.dtype)
        weight = share / self._sum(share).clamp(min=1)  # one of them is 1
        return self._sum(weight * rows)

    def _sum(self, rows: Tensor) -> Tensor:
        index = self.group[..., None].expand_as(rows)
        return grouped_sum(rows, self.group, rows.shape[2]).gather(2, index)


def _with_prototypes(slots: Slots, gone: Tensor) -> Slots:
    """The slots, where the carrier of each frame that lost a visual token is its prototype."""
    frames = _Frames(slots)
    first, own = slice(frames.first), slice(frames.first, None)
    chosen = frames.carrier & (frames.largest(gone[..., own].long()) > 0)
    count = frames.total(torch.ones_like(frames.group))
    centre = [_rounded(frames.total(axis), count) for axis in slots.positions[..., own]]
    middle = torch.stack(centre)
    assert slots.turn is not None and slots.rotated is not None  # inside a step
    keys = slots.turn(widened(slots.keys[:, :, own]), middle - slots.rotated[..., own])

    def put(old: Tensor, new: Tensor) -> Tensor:
        return torch.cat([old[..., first], torch.where(chosen, new, old[..., own])], -1)

    def put_mean(old: Tensor, rows: Tensor) -> Tensor:
        mean = frames.mean(rows).to(old.dtype)
        return torch.cat(
            [old[:, :, first], torch.where(chosen[..., None], mean, old[:, :, own])], 2
        )

    positions = put(slots.positions, middle)
    before = slots.stats.get("merged", torch.zeros_like(slots.index))
    return replace(
        slots,
        keys=put_mean(slots.keys, keys),
        values=put_mean(slots.values, slots.values[:, :, own]),
        positions=positions,
        rotated=put(slots.rotated, middle) if slots.moved else positions,
        stats={**slots.stats, "merged": put(before, count - 1)},
    )


def _rounded(total: Tensor, count: Tensor) -> Tensor:
    """total / count to the nearest integer, halves up; 0 / 0 is 0."""
    return (2 * total + count) // (2 * count).clamp(min=1)
