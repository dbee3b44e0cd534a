"""Streams small enough to read."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from crossframe.framework import CrossFrameMemory, FrameTokens, VideoSession
from crossframe.framework.reference import TINY, ReferenceDecoder

from ..framework import streams
from .loops import LoopHead, LoopMemory, LoopRule, best


@pytest.fixture
def frames() -> Callable[..., list[FrameTokens]]:
    """Random frames of given token counts, with positions 0, 1, 2, ..."""

    return streams.frames


@pytest.fixture
def open_session() -> Callable[[CrossFrameMemory], VideoSession]:
    """A session over a small plain-torch decoder."""
    return lambda memory: VideoSession(ReferenceDecoder(), memory)


@pytest.fixture
def equals_loops(frames) -> Callable[..., None]:
    """Compares the slots a memory holds with those of a rule in plain loops, index for index, after
    each of 60 frames of 1 to 6 tokens behind a prompt, in 2 batch rows, 2 layers and 2 KV heads;
    or of other sizes and heads."""

    def compare(
        memory: CrossFrameMemory,
        rule: LoopRule,
        *,
        ragged: bool = False,
        sizes: Sequence[int] = (),
        **spec: int,
    ) -> None:
        model = ReferenceDecoder(replace(TINY, **spec), seed=1)
        session, loops = VideoSession(model, memory), LoopMemory(model, rule)
        draw = random.Random(2)
        stream = frames(*(sizes or [draw.randint(1, 6) for _ in range(61)]), batch=2)
        prompt = torch.zeros(2, stream[0].num_tokens, dtype=torch.bool)
        stream[0] = FrameTokens(stream[0].embeds, stream[0].positions, prompt)
        evicted = 0
        for frame in stream:
            session.push(frame)
            loops.push(frame)
            for (layer, row, head), slots in loops.held.items():
                got = session.slots(layer)
                assert got.valid is None or ragged
                real = got.index[row, head] >= 0  # padding of ragged heads has negative numbers
                assert got.index[row, head][real].tolist() == [slot.number for slot in slots]
                assert got.frame[row, head][real].tolist() == [slot.frame for slot in slots]
            evicted += session.cursor.tokens > session.slots(0).num_slots
        assert evicted > (0 if sizes else 50)

    return compare


@pytest.fixture
def equals_scores(equals_loops) -> Callable[..., None]:
    """The same for a rule by which every head keeps the best of its slots by their scores."""

    def compare(
        memory: CrossFrameMemory, scores: Callable[[LoopHead], Sequence[float]], capacity: int = 9
    ) -> None:
        equals_loops(memory, lambda heads: [best(scores(head), capacity) for head in heads])

    return compare


@pytest.fixture(name="best")
def the_best() -> Callable[[Sequence[float], int], list[int]]:
    return best


@dataclass(eq=False)
class RowByRow(ReferenceDecoder):
    """Projects the rows of a batch one by one, so that they are the same numbers as alone."""

    def _attend(self, layer, hidden, positions, weights, attention) -> Tensor:
        made: list[tuple[Tensor, ...]] = []

        def note(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
            made.append((query, key, value))
            return query

        for row in range(len(hidden)):
            one = slice(row, row + 1)
            super()._attend(layer, hidden[one], positions[:, one], weights, note)
        query, key, value = (torch.cat(part) for part in zip(*made, strict=True))
        output = attention(layer, query, key, value, self.sizes.head_dim**-0.5)
        return functional.linear(output.transpose(1, 2).flatten(2), weights["output"])


@pytest.fixture
def rows_keep_as_alone() -> Callable[..., None]:
    """Compares the slots that three rows of a batch hold with those of each alone, after each of 12
    frames: of three tokens over and over in the first layer, whose keys and values are the same
    numbers, or of different ones in all layers."""

    def compare(memory: CrossFrameMemory, float_type: torch.dtype, *, repeated: bool) -> None:
        model = RowByRow(float_type=float_type)
        together = VideoSession(model, memory)
        alone = [VideoSession(model, memory) for _ in range(3)]
        for frame in _three_rows(float_type, 3 if repeated else 99):
            together.push(frame)
            for row, session in enumerate(alone):
                session.push(_only(frame, row))
                for layer in range(1 if repeated else 2):
                    held, own = together.slots(layer).index[row], session.slots(layer).index[0]
                    # Padding in front has negative numbers, as many as the fullest row needs.
                    rows = zip(held.tolist(), own.tolist(), strict=True)
                    for numbers, expected in rows:
                        assert [n for n in numbers if n >= 0] == [n for n in expected if n >= 0]

    return compare


def _three_rows(float_type: torch.dtype, vocabulary: int) -> list[FrameTokens]:
    """A prompt and 11 frames of 1 to 5 tokens, the last of them a marker."""
    draw, generator = random.Random(4), torch.Generator().manual_seed(4)
    embeds = torch.randn(vocabulary, 24, generator=generator, dtype=torch.float64).to(float_type)
    made, start = [], 0
    for number in range(12):
        tokens = draw.randint(1, 5)
        visual = (torch.arange(tokens) < max(tokens - 1, 1)) & (number > 0)
        spoken = torch.randint(vocabulary, (3, tokens), generator=generator)
        positions = torch.arange(start, start + tokens).expand(1, 3, -1)
        made.append(FrameTokens(embeds[spoken], positions, visual.expand(3, -1)))
        start += tokens
    return made


def _only(frame: FrameTokens, row: int) -> FrameTokens:
    one = slice(row, row + 1)
    return FrameTokens(frame.embeds[one], frame.positions[:, one], frame.visual_mask()[one])
