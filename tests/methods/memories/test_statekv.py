"""StateKV against a plain-loop oracle of the paper's pseudo-code."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import FrameTokens, VideoModel, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing import Stream, streams
from crossframe.methods import StateKVMemory


class PlainLoopStateKV:
    """One layer at a time, one head at a time: statistics and state as lists, nothing shared with
    the package but the decoder's own projections."""

    def __init__(self, model: VideoModel, capacity: int) -> None:
        self.model, self.capacity, self.seen = model, capacity, 0
        # State per (layer, batch row, KV head): a list of (token number, key, value).
        self.state: dict[tuple[int, int, int], list[tuple[int, Tensor, Tensor]]] = {}

    def push(self, frame: FrameTokens) -> None:
        self.model.step(frame, self._attend, 4096)
        self.seen += frame.num_tokens

    def _attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        output = torch.zeros_like(query)
        for row in range(query.shape[0]):
            for kv_head in range(key.shape[1]):
                self._attend_head(layer, row, kv_head, query, key, value, scale, output)
        return output

    def _attend_head(
        self,
        layer: int,
        row: int,
        kv_head: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        output: Tensor,
    ) -> None:
        place = (layer, row, kv_head)
        memory = self.state.get(place, [])
        tokens = key.shape[2]
        pool = memory + [
            (self.seen + t, key[row, kv_head, t], value[row, kv_head, t]) for t in range(tokens)
        ]
        mass = [0.0] * len(pool)
        group = query.shape[1] // key.shape[1]
        for head in range(kv_head * group, (kv_head + 1) * group):
            for t in range(tokens):
                visible = len(memory) + t + 1
                logits = [float(query[row, head, t] @ k) * scale for _, k, _ in pool[:visible]]
                highest = max(logits)
                weights = [math.exp(x - highest) for x in logits]
                total = sum(weights)
                for j, weight in enumerate(weights):
                    mass[j] += weight / total
                    output[row, head, t] += weight / total * pool[j][2]
        best = sorted(range(len(pool)), key=lambda j: (mass[j], pool[j][0]), reverse=True)
        self.state[place] = [pool[j] for j in sorted(best[: self.capacity])]


@settings(max_examples=25, deadline=None)
@given(stream=streams(max_batch=2, max_frames=6, max_tokens=5), capacity=st.integers(0, 12))
def test_kept_slots_equal_the_oracle_at_every_frame_layer_and_head(
    stream: Stream, capacity: int
) -> None:
    session = VideoSession(stream.model, StateKVMemory(capacity))
    oracle = PlainLoopStateKV(stream.model, capacity)
    for frame in stream.frames:
        session.push(frame)
        oracle.push(frame)
        for (layer, row, kv_head), kept in oracle.state.items():
            held = session.slots(layer).index[row, kv_head].tolist()
            assert held == [number for number, _, _ in kept]


def test_capacity_below_a_frame_keeps_heads_apart() -> None:
    # Different heads hold different tokens: selection is per KV head, not per layer.
    model = ReferenceDecoder()
    session = VideoSession(model, StateKVMemory(3))
    generator = torch.Generator().manual_seed(1)
    for number in range(4):
        embeds = torch.randn(1, 8, model.spec.hidden, generator=generator, dtype=torch.float64)
        session.push(FrameTokens(embeds, torch.arange(8)[None, None] + 8 * number))
    index = session.slots(0).index[0]
    assert not torch.equal(index[0], index[1])
