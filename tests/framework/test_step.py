"""The closed form of a step's cost, for every implementation of attention."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crossframe.framework import CrossFrameMemory, FrameTokens, VideoSession
from crossframe.framework.attention import IMPLEMENTATIONS
from crossframe.framework.reference import ReferenceDecoder
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
        with FlopCounterMode(display=False) as counter:
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
