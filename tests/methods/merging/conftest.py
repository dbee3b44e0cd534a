"""Merging memories against rules in plain loops that make every merged key anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from crossframe.framework import CrossFrameMemory, FrameTokens, VideoSession
from crossframe.framework.reference import ReferenceDecoder

from ..loops import rope


@dataclass
class MergedSlot:
    """A slot as shares of the tokens it was made of, by token number, and where it stands."""

    number: int
    frame: int
    visual: bool
    position: tuple[int, ...]
    shares: dict[int, float]


@dataclass
class MergingHead:
    """[carried ; step] of one KV head, with the mass that the step's and the probe's queries hand
    out, and the keys before RoPE and values of all tokens so far."""

    slots: list[MergedSlot]
    num_new: int
    mass: list[float]
    probe_mass: list[float]
    keys: list[list[float]]
    values: list[list[float]]

    def key(self, slot: MergedSlot) -> list[float]:
        return _mean(self.keys, slot.shares)

    def value(self, slot: MergedSlot) -> list[float]:
        return _mean(self.values, slot.shares)


# From a head, its batch row and its number to the slots it carries on.
MergingRule = Callable[[MergingHead, int, int], list[MergedSlot]]


@dataclass(eq=False)
class Unrotated(ReferenceDecoder):
    """Notes every layer's keys before RoPE, as the last pass made them."""

    content: dict[int, Tensor] = field(default_factory=dict)

    def _attend(self, layer, hidden, positions, weights, attention) -> Tensor:
        keys = functional.linear(hidden, weights["key"])
        self.content[layer] = keys.unflatten(-1, (-1, self.spec.head_dim)).transpose(1, 2)
        return super()._attend(layer, hidden, positions, weights, attention)


class MergingLoops:
    """A decoder with a memory that merges, in lists and floats. No merged key is ever kept: all are
    made anew, for every look at them, from the tokens' own keys before RoPE."""

    def __init__(
        self,
        model: Unrotated,
        rule: MergingRule,
        probe: tuple[int, ...] | None,
    ) -> None:
        self.model, self.rule, self.probe = model, rule, probe
        self.seen, self.frames, self.next = 0, 0, 0
        self.heads: dict[tuple[int, int, int], MergingHead] = {}

    def push(self, step: Sequence[FrameTokens]) -> None:
        numbers = [self._number(frame) for frame in step]
        self.about = [n for n, frame in zip(numbers, step, strict=True) for _ in frame.embeds[0]]
        self.positions = torch.cat([frame.positions for frame in step], -1)
        self.visual = torch.cat([frame.visual_mask() for frame in step], -1)
        embeds = torch.cat([frame.embeds for frame in step], 1)
        self.model.step(FrameTokens(embeds, self.positions), self._enter, 4096)
        self.seen += len(self.about)
        self.next = max(self.next, int(self.positions.max()) + 1)
        if self.probe is not None:
            ids = torch.tensor([self.probe] * len(embeds))
            positions = self.next + torch.arange(len(self.probe))
            spread = positions.expand(len(self.positions), len(embeds), -1)
            self.model.step(FrameTokens(self.model.embed(ids), spread), self._look, 4096)
        for (_, row, k), head in self.heads.items():
            head.slots = self.rule(head, row, k)

    def _number(self, frame: FrameTokens) -> int:
        if self.seen == self.frames == 0 and not bool(frame.visual_mask().any()):
            return -1
        self.frames += 1
        return self.frames - 1

    def _enter(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        for row, k in [(r, k) for r in range(key.shape[0]) for k in range(key.shape[1])]:
            head = self.heads.setdefault((layer, row, k), MergingHead([], 0, [], [], [], []))
            head.keys += self.model.content[layer][row, k].tolist()
            head.values += value[row, k].tolist()
            for place, frame in enumerate(self.about):
                number, visual = self.seen + place, bool(self.visual[row, place])
                position = tuple(self.positions[:, row, place].tolist())
                head.slots.append(MergedSlot(number, frame, visual, position, {number: 1.0}))
            head.num_new = len(self.about)
        return self._all(layer, query, key, value, scale, own=False)

    def _look(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        return self._all(layer, query, key, value, scale, own=True)

    def _all(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, own: bool
    ) -> Tensor:
        """Attention of a step, or of text behind it, which brings keys of its own."""
        output, group = torch.zeros_like(query), query.shape[1] // key.shape[1]
        for row, k in [(r, k) for r in range(key.shape[0]) for k in range(key.shape[1])]:
            head = self.heads[layer, row, k]
            keys = [rope(head.key(slot), slot.position) for slot in head.slots]
            values = [head.value(slot) for slot in head.slots]
            if own:
                keys, values = keys + key[row, k].tolist(), values + value[row, k].tolist()
            mine = slice(k * group, (k + 1) * group)
            logits = query[row, mine] @ torch.tensor(keys, dtype=query.dtype).T * scale
            tokens, seen = query.shape[2], len(keys)
            later = torch.ones(tokens, seen, dtype=torch.bool).triu(seen - tokens + 1)
            weights = logits.masked_fill(later, float("-inf")).softmax(-1)
            output[row, mine] = weights @ torch.tensor(values, dtype=query.dtype)
            mass = weights.sum((0, 1)).tolist()[: len(head.slots)]
            if own:
                head.probe_mass = mass
            else:
                head.mass = mass
        return output


def _mean(rows: list[list[float]], shares: dict[int, float]) -> list[float]:
    if len(shares) == 1:
        return rows[next(iter(shares))]
    return [
        sum(share * rows[number][d] for number, share in shares.items())
        for d in range(len(rows[0]))
    ]


def _grid(draw: random.Random, axes: int, start: int, visual: int) -> tuple[Tensor, int]:
    """Positions [axes, 1, visual + 2] of a frame between two markers, under M-RoPE in a grid, and
    where the next one starts."""
    if axes == 1:
        return torch.arange(start, start + visual + 2)[None, None], start + visual + 2
    width = draw.randint(1, 4)
    places = [(0, n // width, n % width) for n in range(visual)]
    tokens = [(0, 0, 0), *((1 + t, 1 + h, 1 + w) for t, h, w in places)]
    end = max(max(place) for place in tokens) + 1
    rows = torch.tensor([*tokens, (end, end, end)]) + start
    return rows.T[:, None], start + end + 1


@pytest.fixture
def equals_merging_loops() -> Callable[..., int]:
    """Compares the slots of a merging memory with those of a rule in plain loops, after each of 60
    frames behind a prompt: what they are exactly, keys and values to 1e-9. Returns how many merged
    slots were met."""

    def compare(
        memory: CrossFrameMemory,
        rule: MergingRule,
        *,
        probe: tuple[int, ...] | None = None,
        axes: int = 1,
        frames_per_step: int = 1,
    ) -> int:
        model = Unrotated(axes=axes, seed=1)
        session = VideoSession(model, memory, frames_per_step=frames_per_step)
        loops = MergingLoops(model, rule, probe)
        stream, met = _marked_stream(axes), 0
        steps = [stream[:1]]
        steps += [stream[n : n + frames_per_step] for n in range(1, 61, frames_per_step)]
        for step in steps:
            session.push(step)
            loops.push(step)
            for (layer, row, k), head in loops.heads.items():
                met += _same_head(session, layer, row, k, head, loops)
        return met

    return compare


def _marked_stream(axes: int) -> list[FrameTokens]:
    """A prompt and 60 frames of 0 to 6 visual tokens between two markers; rows differ in which."""
    draw, generator = random.Random(3), torch.Generator().manual_seed(3)
    made: list[FrameTokens] = []
    start = 0
    for number in range(61):
        visual = draw.randint(0, 6)
        positions, start = _grid(draw, axes, start, visual)
        embeds = torch.randn(2, visual + 2, 24, generator=generator, dtype=torch.float64)
        mask = torch.rand(2, visual + 2, generator=generator) < 0.8
        mask[:, [0, -1]] = False
        made.append(FrameTokens(embeds, positions.expand(-1, 2, -1), mask & (number > 0)))
    return made


def _same_head(
    session: VideoSession, layer: int, row: int, k: int, head: MergingHead, loops: MergingLoops
) -> int:
    got = session.slots(layer)
    real = got.index[row, k] >= 0
    merged = got.stats.get("merged", torch.zeros_like(got.index))[row, k][real].tolist()
    assert got.index[row, k][real].tolist() == [slot.number for slot in head.slots]
    assert got.frame[row, k][real].tolist() == [slot.frame for slot in head.slots]
    assert got.visual[row, k][real].tolist() == [slot.visual for slot in head.slots]
    assert merged == [len(slot.shares) - 1 for slot in head.slots]
    assert got.rotated is not None
    for place, slot in zip(real.nonzero()[:, 0].tolist(), head.slots, strict=True):
        assert tuple(got.rotated[:, row, k, place].tolist()) == slot.position
        expected = torch.tensor(rope(head.key(slot), slot.position), dtype=torch.float64)
        assert (got.keys[row, k, place] - expected).abs().max() < 1e-9
        value = torch.tensor(head.value(slot), dtype=torch.float64)
        assert (got.values[row, k, place] - value).abs().max() < 1e-9
    return sum(count > 0 for count in merged)
