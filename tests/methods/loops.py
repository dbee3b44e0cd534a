"""A decoder with a memory in lists and floats, for rules in plain loops to be compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from crossframe.framework import FrameTokens, VideoModel


@dataclass
class LoopSlot:
    """A slot of one KV head as a rule in plain loops sees it."""

    number: int
    frame: int
    key: list[float]
    value: list[float]
    notes: dict[str, float] = field(default_factory=dict)


@dataclass
class LoopHead:
    """[carried ; frame] of one KV head, and weights[query head of the group][token][slot]."""

    layer: int
    head: int
    slots: list[LoopSlot]
    weights: list[list[list[float]]]

    @property
    def num_new(self) -> int:
        return len(self.weights[0])

    def mass(self) -> list[float]:
        """What the step's queries hand out to every slot, over the heads of the group."""
        rows = [row for tokens in self.weights for row in tokens]
        return [sum(column) for column in zip(*rows, strict=True)]


# From the KV heads of one layer and batch row to the places that each of them keeps.
LoopRule = Callable[[Sequence[LoopHead]], Sequence[Sequence[int]]]


class LoopMemory:
    """A decoder with a memory in lists and floats; shares only the projections with a session."""

    def __init__(self, model: VideoModel, rule: LoopRule) -> None:
        self.model, self.rule = model, rule
        self.seen, self.frame, self.frames = 0, -1, 0
        self.held: dict[tuple[int, int, int], list[LoopSlot]] = {}

    def push(self, frame: FrameTokens) -> None:
        text = frame.visual is not None and not bool(frame.visual.any())
        self.frame = -1 if text and self.seen == 0 else self.frames
        self.model.step(frame, self._attend, 4096)
        self.seen += frame.num_tokens
        self.frames = self.frame + 1

    def _attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        output = torch.zeros_like(query)
        group = query.shape[1] // key.shape[1]
        for row in range(query.shape[0]):
            heads = []
            for head in range(key.shape[1]):
                own = slice(head * group, (head + 1) * group)
                carried = self.held.get((layer, row, head), [])
                slots = carried + self._new(key[row, head].tolist(), value[row, head].tolist())
                weights, out = _loops(query[row, own].tolist(), slots, scale)
                output[row, own] = torch.tensor(out, dtype=query.dtype)
                heads.append(LoopHead(layer, head, slots, weights))
            for seen, kept in zip(heads, self.rule(heads), strict=True):
                held = [seen.slots[place] for place in sorted(kept)]
                self.held[layer, row, seen.head] = held
        return output

    def _new(self, keys: list[list[float]], values: list[list[float]]) -> list[LoopSlot]:
        pairs = zip(keys, values, strict=True)
        return [LoopSlot(self.seen + n, self.frame, k, v) for n, (k, v) in enumerate(pairs)]


def _loops(
    queries: list[list[list[float]]], slots: list[LoopSlot], scale: float
) -> tuple[list[list[list[float]]], list[list[list[float]]]]:
    """Weights [group][token][slot] and outputs [group][token][channel], prefix-causal."""
    weights, outputs = [], []
    for tokens in queries:
        before = len(slots) - len(tokens)
        rows = [
            _softmax(q, slots[: before + t + 1], scale) + [0.0] * (len(tokens) - t - 1)
            for t, q in enumerate(tokens)
        ]
        channels = list(zip(*(slot.value for slot in slots), strict=True))
        weights.append(rows)
        outputs.append([[_dot(row, channel) for channel in channels] for row in rows])
    return weights, outputs


def _softmax(query: list[float], slots: list[LoopSlot], scale: float) -> list[float]:
    logits = [_dot(query, slot.key) * scale for slot in slots]
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


def best(scores: Sequence[float], count: int) -> list[int]:
    """The places of the highest scores, of equal ones the later."""
    ranked = sorted(range(len(scores)), key=lambda place: (scores[place], place))
    return ranked[len(ranked) - min(count, len(ranked)) :]


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    lengths = math.fsum(a * a for a in first) * math.fsum(b * b for b in second)
    return math.fsum(a * b for a, b in zip(first, second, strict=True)) / math.sqrt(lengths)


def rope(key: Sequence[float], place: Sequence[int]) -> list[float]:
    """RoPE of one key by its definition: pairs (i, i + half) turned by position x 100^(-i/half)."""
    half, turned = len(key) // 2, list(key)
    for i in range(half):
        angle = place[i % len(place)] * 100.0 ** (-i / half)
        cos, sin = math.cos(angle), math.sin(angle)
        turned[i] = key[i] * cos - key[i + half] * sin
        turned[i + half] = key[i + half] * cos + key[i] * sin
    return turned


def moved(weights: Sequence[float], place: int, values: Sequence[Sequence[float]]) -> float:
    """How far a query's output moves when one slot is left out and the rest renormalised."""

    def mean(parts: Sequence[float]) -> list[float]:
        total = sum(parts)
        columns = zip(*values, strict=True)
        return [sum(w * v for w, v in zip(parts, c, strict=True)) / (total or 1) for c in columns]

    return math.dist(mean(weights), mean([w * (n != place) for n, w in enumerate(weights)]))
