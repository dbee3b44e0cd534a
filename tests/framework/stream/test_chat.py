"""Turns are remembered, frames never see them, and what is no conversation is refused."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework import VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl

MODEL = InternVL3(*tiny_internvl())


def frames(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 40, 60, 3), generator=generator).to(torch.uint8)


def test_frames_and_plain_questions_see_nothing_of_a_conversation() -> None:
    talked, silent = (VideoSession(MODEL, StateKVMemory(12)) for _ in range(2))
    chat = talked.chat()
    for number, frame in enumerate(frames(4)):
        talked.push(frame)
        silent.push(frame)
        chat.ask(f"Frame {number}?", max_new_tokens=3)
    assert torch.equal(talked.slots(1).keys, silent.slots(1).keys)
    assert talked.archive.bytes_held == silent.archive.bytes_held
    plain = [session.ask("What?", max_new_tokens=4) for session in (talked, silent)]
    assert torch.equal(plain[0].first_logits, plain[1].first_logits)
    assert [turn["role"] for turn in chat.messages] == ["user", "assistant"] * 4


def test_two_conversations_know_nothing_of_each_other_and_can_be_begun_anew() -> None:
    session = VideoSession(MODEL, StateKVMemory(12))
    session.push(frames(2))
    one, other = session.chat(), session.chat()
    first = one.ask("What?", max_new_tokens=3)
    second = one.ask("What?", max_new_tokens=3)
    assert not torch.equal(first.first_logits, second.first_logits)
    assert torch.equal(other.ask("What?", max_new_tokens=3).first_logits, first.first_logits)
    one.messages.clear()
    assert torch.equal(one.ask("What?", max_new_tokens=3).first_logits, first.first_logits)


def test_a_question_that_fails_is_not_remembered() -> None:
    session = VideoSession(MODEL, StateKVMemory(12))
    chat = session.chat()
    with pytest.raises(ValueError, match="nothing has been pushed yet"):
        chat.ask("What?")
    session.push(frames(2))
    with pytest.raises(ValueError, match="the question contains <IMG_CONTEXT>"):
        chat.ask("<IMG_CONTEXT>")
    assert chat.messages == []


@pytest.mark.parametrize(
    "turn",
    [{"role": "assistant", "content": "Hm."}, {"role": "user"}, {"role": "user", "content": 3}],
)
def test_messages_that_are_no_turns_are_named(turn: dict[str, str]) -> None:
    session = VideoSession(MODEL, StateKVMemory(12))
    session.push(frames(2))
    chat = session.chat()
    chat.messages.append(turn)
    told = r"turn 1 of the conversation must be \{'role': 'user', 'content': text\}, got \{'role'"
    with pytest.raises(ValueError, match=told):
        chat.ask("What?")
