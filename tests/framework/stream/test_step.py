"""The closed form of a step's cost, for every implementation of attention; what a step leaves."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from crossframe.framework import CrossFrameMemory, FrameTokens, Slots, VideoSession
from crossframe.framework.attention.attend import IMPLEMENTATIONS
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import RecencyMemory, StateKVMemory


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
@pytest.mark.parametrize("memory", [StateKVMemory(6), RecencyMemory(6)], ids=repr)
def test_the_stated_flops_are_the_counted_ones(memory: CrossFrameMemory, attention: str) -> None:
    session = VideoSession(ReferenceDecoder(), memory, attention=attention)
    for start in range(0, 16, 4):
        frame = FrameTokens(
            torch.randn(2, 4, 24, dtype=torch.float64),
            torch.arange(start, start + 4).expand(1, 2, -1),
        )
        with flop_counter() as counter:
            session.push(frame)
        assert session.costs[-1].flops == counter.get_total_flops()


def test_mass_by_a_second_pass_is_paid_for() -> None:
    def cost(attention: str) -> int:
        session = VideoSession(ReferenceDecoder(), StateKVMemory(6), attention=attention)
        embeds = torch.randn(1, 4, 24, dtype=torch.float64)
        session.push(FrameTokens(embeds, torch.arange(4)[None, None]))
        return session.costs[-1].flops

    spec = ReferenceDecoder().spec
    second_pass = 2 * 4 * 4 * spec.num_query_heads * spec.head_dim * spec.num_layers
    assert cost("sdpa") - cost("chunked") == second_pass


@dataclass(frozen=True)
class Watching(CrossFrameMemory):
    """Keeps nothing, and notes what it saw without holding it."""

    seen: list[weakref.ref[Tensor]] = field(default_factory=list)

    def update(self, slots: Slots) -> Slots:
        self.seen.append(weakref.ref(slots.keys))
        return slots.keep(torch.arange(0))


def test_what_a_step_saw_is_freed_without_the_garbage_collector() -> None:
    """A cycle through the step would hold the keys of many frames before they are collected."""
    memory = Watching()
    session = VideoSession(ReferenceDecoder(), memory)
    gc.disable()
    try:
        session.push(FrameTokens(torch.randn(1, 4, 24).double(), torch.arange(4)[None, None]))
        session.question_logits([1, 2])
        assert [seen() for seen in memory.seen] == [None, None]
    finally:
        gc.enable()
