"""KeyDiff against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossframe.framework import FrameTokens, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import KeyDiffMemory

from ..loops import cosine


def test_kept_slots_equal_the_oracle(equals_scores) -> None:
    def scores(head) -> list[float]:
        lengths = [math.sqrt(sum(x * x for x in slot.key)) for slot in head.slots]
        units = [[x / n for x in s.key] for s, n in zip(head.slots, lengths, strict=True)]
        mean = [sum(channel) / len(units) for channel in zip(*units, strict=True)]
        return [-cosine(slot.key, mean) for slot in head.slots]

    equals_scores(KeyDiffMemory(9), scores)


def test_the_length_of_keys_plays_no_part(frames, open_session) -> None:
    session = open_session(KeyDiffMemory(None))
    session.push(frames(6))
    slots = session.slots(0)
    before = KeyDiffMemory(3).score(slots)
    slots.keys = slots.keys * torch.tensor([1.0, 50, 0.1, 3, 1, 7]).double()[:, None]
    assert torch.allclose(KeyDiffMemory(3).score(slots), before)


@pytest.mark.parametrize("float_type", [torch.float32, torch.float64])
def test_of_two_slots_the_newer_stays(float_type: torch.dtype) -> None:
    # Both have the same cosine with their mean; 40 streams of 40 broke that tie by rounding.
    generator = torch.Generator().manual_seed(0)
    session = VideoSession(ReferenceDecoder(float_type=float_type), KeyDiffMemory(1))
    for number in range(200):
        embeds = torch.randn(2, 1, 24, generator=generator, dtype=float_type)
        session.push(FrameTokens(embeds, torch.full((1, 2, 1), number)))
        assert session.slots(0).index.unique().tolist() == [number]
        assert session.slots(1).index.unique().tolist() == [number]


@given(st.integers(0, 2**31), st.integers(1, 4), st.booleans())
def test_rows_of_a_batch_keep_what_they_keep_alone(seed: int, capacity: int, drawn: bool) -> None:
    # Few tokens over and over, or all different: equal scores and unequal ones.
    generator = torch.Generator().manual_seed(seed)
    model, memory, start = ReferenceDecoder(), KeyDiffMemory(capacity), 0
    together = VideoSession(model, memory)
    alone = [VideoSession(model, memory) for _ in range(3)]
    vocabulary = torch.randn(3 if drawn else 99, 24, generator=generator, dtype=torch.float64)
    for _ in range(8):
        tokens = int(torch.randint(1, 4, (1,), generator=generator))
        spoken = torch.randint(len(vocabulary), (3, tokens), generator=generator)
        positions = torch.arange(start, start + tokens).expand(1, 3, -1)
        together.push(FrameTokens(vocabulary[spoken], positions))
        start += tokens
        for row, session in enumerate(alone):
            session.push(FrameTokens(vocabulary[spoken[row : row + 1]], positions[:, :1]))
            for layer in range(2):
                held = together.slots(layer).index[row : row + 1]
                assert torch.equal(held, session.slots(layer).index)
