"""Dyadic thinning against plain loops, and what it leaves at any time."""

from __future__ import annotations

import itertools

import pytest
import torch

from crossframe.framework import FrameTokens
from crossframe.methods import UniformMemory


def _zeros(number: int) -> int:
    """Zero bits that a number ends with; numbers up to 0 end with any number of them."""
    return 99 if number <= 0 else next(n for n in itertools.count() if number % 2 ** (n + 1))


@pytest.mark.parametrize("unit", ["frame", "token"])
@pytest.mark.parametrize("capacity", [9, 30])
def test_kept_slots_equal_the_oracle(equals_scores, unit, capacity) -> None:
    def scores(head) -> list[int]:
        return [_zeros(slot.number if unit == "token" else slot.frame) for slot in head.slots]

    equals_scores(UniformMemory(capacity, unit=unit), scores, capacity)


def test_at_any_time_gaps_are_of_two_sizes_and_the_finer_ones_are_new(frames, open_session) -> None:
    session = open_session(UniformMemory(7))
    for number, frame in enumerate(frames(*[1] * 200)):
        session.push(frame)
        held = session.slots(0).frame[0, 0].tolist()
        assert len(held) == min(7, number + 1)
        gap = next(2**n for n in itertools.count() if number // 2**n < 7)
        coarse = list(range(0, number + 1, gap))
        finer = [n for n in range(number + 1) if n % gap and n % gap % (gap / 2) == 0]
        assert held == sorted([*coarse, *finer[len(finer) - (len(held) - len(coarse)) :]])


def test_the_prompt_stays_as_long_as_the_first_frame(frames, open_session) -> None:
    session = open_session(UniformMemory(6))
    prompt, *stream = frames(*[2] * 41)
    text = torch.zeros(1, 2, dtype=torch.bool)
    session.push([FrameTokens(prompt.embeds, prompt.positions, text), *stream])
    assert session.slots(0).frame[0, 0].tolist() == [-1, -1, 0, 0, 32, 32]
