"""Hidden states of pushed tokens: what `push` gives back, and that it keeps nothing of them."""

import pytest
import torch

from crossframe.framework import FrameTokens, FullMemory, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import StateKVMemory, TokenDroppingMemory

from ..streams import frames, images

QUESTION = torch.tensor([[3, 1, 4]])


@pytest.mark.parametrize("frames_per_step", [1, 2])
def test_hidden_states_are_those_of_one_forward(frames_per_step: int) -> None:
    model, stream = ReferenceDecoder(), frames(3, 1, 4, 2)
    session = VideoSession(model, FullMemory(), frames_per_step=frames_per_step)
    passed = [session.push(part, return_hidden=True) for part in (stream[:3], stream[3:])]
    hidden = torch.cat([part for part in passed if part is not None], 1)
    assert hidden.shape == (1, 10, model.spec.hidden)
    whole = VideoSession(model, FullMemory(), frames_per_step=4).push(stream, return_hidden=True)
    torch.testing.assert_close(hidden, whole, atol=1e-9, rtol=0)


def test_logits_of_hidden_states_are_those_of_the_same_tokens_asked() -> None:
    model, stream, question = ReferenceDecoder(), frames(3, 4), torch.tensor([[3, 1, 4]])
    asked, pushed = VideoSession(model, FullMemory()), VideoSession(model, FullMemory())
    asked.push(stream)
    pushed.push(stream)
    positions = model.text_positions(pushed.cursor, *question.shape)
    hidden = pushed.push(FrameTokens(model.embed(question), positions), return_hidden=True)
    assert hidden is not None
    expected = asked.question_logits(question)
    torch.testing.assert_close(model.logits(hidden), expected, atol=1e-9, rtol=0)


def test_nothing_is_given_unless_asked_for() -> None:
    session = VideoSession(ReferenceDecoder(), StateKVMemory(4))
    assert session.push(frames(3)) is None


def test_frames_that_wait_give_nothing_and_the_prompt_counts() -> None:
    model = ReferenceDecoder(patch=2)
    session = VideoSession(model, FullMemory())
    assert session.push(images(1), return_hidden=True) is None
    passed = session.push(images(1), return_hidden=True)
    assert passed is not None
    assert passed.shape[1] == session.cursor.tokens


def test_dropped_tokens_have_no_hidden_states() -> None:
    session = VideoSession(ReferenceDecoder(), TokenDroppingMemory(FullMemory(), ratio=0.5))
    first, second = frames(4, 4)
    session.push(first)
    passed = session.push(second, return_hidden=True)
    assert passed is not None
    assert passed.shape[1] == session.archive.num_tokens - 4 < 4


def test_hidden_states_are_not_kept_by_the_session() -> None:
    session = VideoSession(ReferenceDecoder(), StateKVMemory(4))
    before = session.fork()
    stream = frames(5, 5)
    session.push(stream, return_hidden=True)
    before.push(stream)
    assert session.state_bytes == before.state_bytes
    logits = [one.question_logits(QUESTION) for one in (session, before)]
    assert torch.equal(*logits)
