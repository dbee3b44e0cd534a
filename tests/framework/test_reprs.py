"""What an object says of itself is short: sizes, never tensors."""

from __future__ import annotations

from dataclasses import replace

import torch

from crossframe.framework import Answer, FullMemory
from crossframe.framework.stream.costs import StepCosts

from .streams import frames, pushed


def test_a_session_says_what_it_has_seen_and_holds() -> None:
    session = pushed(FullMemory(), 4, 3)
    assert repr(session) == (
        f"VideoSession(FullMemory(), 2 frames, 7 tokens, {session.state_bytes} bytes of state, "
        f"{session.archive.bytes_held} of archive)"
    )


def test_slots_say_how_many_they_are() -> None:
    slots = pushed(FullMemory(), 4, 3).slots(1)
    assert repr(slots) == "Slots(7 slots x 2 heads, layer 1 of 2)"
    marked = replace(slots, num_new=3, stats={"age": slots.index}, state={"mean": slots.keys})
    assert repr(marked) == "Slots(7 slots x 2 heads, 3 new, layer 1 of 2, age, mean)"


def test_frames_say_their_tokens_and_time() -> None:
    (frame,) = frames(5, batch=2)
    assert repr(frame) == "FrameTokens(5 tokens, batch 2)"
    assert repr(replace(frame, timestamp=2.5)).endswith("batch 2 at 2.5 s)")


def test_an_answer_says_its_text_and_whether_to_believe_it() -> None:
    answer = Answer("red", torch.tensor([5]), torch.zeros(9))
    assert repr(answer) == "Answer('red', 1 tokens)"
    assert repr(replace(answer, finite=False)) == "Answer('red', 1 tokens, not finite)"


def test_costs_say_how_many_steps_they_are_and_the_newest() -> None:
    session = pushed(FullMemory(), 4, 3)
    newest = session.costs[-1]
    assert repr(replace(newest, flops=1234567, timestamp=2.5)) == (
        f"StepCost(3 tokens at 2.5 s, 1.23e+06 FLOPs, {newest.state_bytes} bytes of state, "
        f"{newest.archive_bytes} of archive)"
    )
    assert repr(replace(newest, timestamp=None)).startswith("StepCost(3 tokens, ")
    assert repr(session.costs) == f"StepCosts(2 steps, newest {newest!r})"
    assert repr(StepCosts()) == "StepCosts(0 steps)"
