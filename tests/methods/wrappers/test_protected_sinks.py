"""Protected sinks against plain loops, inside a budget and on top of other memories."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework import FrameTokens
from crossframe.methods import (
    AdaptiveHeadBudgets,
    IsolatedFramesMemory,
    LayerBudgets,
    ProtectedSinks,
    SlidingWindowMemory,
    SmoothedScore,
    StateKVMemory,
)


def is_sink(slot, tokens: int, frames: int, prompt: bool) -> bool:
    early = slot.frame in range(frames)
    return slot.number < tokens or early or (prompt and slot.frame == -1)


SETTINGS = [(3, 0, False), (0, 1, False), (0, 0, True), (1, 1, True)]


@pytest.mark.parametrize(("tokens", "whole", "prompt"), SETTINGS)
def test_inside_a_budget_kept_slots_equal_the_oracle(
    equals_loops, best, tokens, whole, prompt
) -> None:
    def keep(head):
        count = len(head.slots)
        if count <= 13:
            return range(count)
        sinks = [p for p, s in enumerate(head.slots) if is_sink(s, tokens, whole, prompt)]
        rest = [place for place in range(count) if place not in sinks]
        mass = [sum(row[p] for group in head.weights for row in group) for p in rest]
        return [*sinks, *(rest[n] for n in best(mass, 13 - len(sinks)))]

    memory = ProtectedSinks(StateKVMemory(13), tokens=tokens, frames=whole, prompt=prompt)
    equals_loops(memory, lambda heads: [keep(head) for head in heads])


@pytest.mark.parametrize(("tokens", "whole", "prompt"), SETTINGS)
@pytest.mark.parametrize("window", [0, 2])
def test_on_top_of_a_window_kept_slots_equal_the_oracle(
    equals_loops, tokens, whole, prompt, window
) -> None:
    def keep(head):
        first = head.slots[-1].frame - window
        return [
            place
            for place, slot in enumerate(head.slots)
            if slot.frame > first or is_sink(slot, tokens, whole, prompt)
        ]

    inner = SlidingWindowMemory(window) if window else IsolatedFramesMemory()
    memory = ProtectedSinks(inner, tokens=tokens, frames=whole, prompt=prompt)
    equals_loops(memory, lambda heads: [keep(head) for head in heads])


@pytest.mark.parametrize(
    "memory",
    [
        SmoothedScore(ProtectedSinks(StateKVMemory(6), tokens=2), "ema"),
        AdaptiveHeadBudgets(ProtectedSinks(StateKVMemory(6), tokens=2), floor=0.0),
        LayerBudgets(ProtectedSinks(StateKVMemory(6), tokens=2), shares=(3, 1)),
        ProtectedSinks(LayerBudgets(AdaptiveHeadBudgets(StateKVMemory(6)), (1, 3)), tokens=2),
    ],
    ids=repr,
)
def test_sinks_survive_a_hundred_steps_wherever_the_wrapper_stands(
    frames, open_session, memory
) -> None:
    session = open_session(memory)
    for frame in frames(*[4] * 100, batch=2):
        session.push(frame)
        for layer in range(2):
            slots = session.slots(layer)
            held = (slots.index[..., None] == torch.tensor([0, 1])).any(-2)
            assert bool(held.all())


def test_the_limit_grows_by_what_comes_on_top() -> None:
    memory = ProtectedSinks(SlidingWindowMemory(2), tokens=4, frames=1, prompt=True)
    assert memory.limit(0, 1, 10) == 2 * 10 + 4 + 10 + 10
    assert ProtectedSinks(SlidingWindowMemory(None), tokens=4).limit(0, 1, 10) is None


def test_a_prompt_that_outgrows_the_budget_is_refused_at_the_push(frames, open_session) -> None:
    session = open_session(ProtectedSinks(StateKVMemory(4), prompt=True))
    first, second = frames(5, 2)
    prompt = FrameTokens(first.embeds, first.positions, torch.zeros(1, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"ProtectedSinks: 5 protected slots .* budget of 4"):
        session.push(prompt)
    session.push([first, second])  # no prompt, nothing to protect
