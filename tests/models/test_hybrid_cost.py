"""Linear prefill on a hybrid decoder: a frame costs the same however long the stream has been."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from crossframe.framework import CrossFrameMemory, FullMemory, VideoSession
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import RecencyMemory, StateKVMemory

from .streams import token_ids
from .test_hybrid import decoder


def measured(memory: CrossFrameMemory, tokens: int, pushes: int) -> tuple[list[int], list[int]]:
    """FLOPs of each push, by torch's counter and by closed form.

    The stock rule of recurrent layers begins a stream in chunks of 64 tokens and goes on from its
    state in another form, so the counter's first push is left out.
    """
    model = decoder(torch.float32)
    session, counted = VideoSession(model, memory), list[int]()
    for part in token_ids(tokens * pushes).split(tokens, 1):
        with flop_counter() as counter:
            session.push(model.frame(part, session.cursor))
        counted.append(counter.get_total_flops())
    return counted[1:], [cost.flops for cost in session.costs]


@pytest.mark.parametrize(("tokens", "capacity"), [(1, 0), (3, 7), (4, 12), (6, 1)])
@pytest.mark.parametrize("memory", [StateKVMemory, RecencyMemory], ids=lambda kind: kind.__name__)
def test_a_push_costs_the_same_once_slots_are_full(
    memory: Callable[[int], CrossFrameMemory], tokens: int, capacity: int
) -> None:
    filling = -(-capacity // tokens)
    counted, stated = measured(memory(capacity), tokens, filling + 4)
    assert len({*counted[max(0, filling - 1) :]}) == 1
    assert len({*stated[filling:]}) == 1
    assert sorted({*stated}) == stated[: filling + 1]


def test_full_attention_grows_in_its_layers_alone() -> None:
    counted, stated = measured(FullMemory(), 3, 6)
    growth = {after - before for before, after in pairwise(stated)}
    assert len(growth) == 1 and min(growth) > 0
    assert {after - before for before, after in pairwise(counted)} == growth
