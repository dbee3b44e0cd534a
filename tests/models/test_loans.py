"""A model is lent to one call at a time, and comes back as it was found."""

import copy
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import FullMemory, VideoSession
from crossframe.framework.testing.session_laws import require_same
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.loans import Lender
from crossframe.models.tiny import tiny_qwen2

from .streams import token_ids

QUESTION = torch.tensor([[7, 8, 9]])
Fingerprint = Callable[[DecoderModel], dict[str, Any]]


def opened(model: DecoderModel, pushes: int = 1) -> VideoSession:
    session = VideoSession(model, StateKVMemory(6))
    for seed in range(pushes):
        push(session, seed)
    return session


def push(session: VideoSession, seed: int) -> None:
    assert isinstance(session.model, DecoderModel)
    session.push(session.model.frame(token_ids(4, seed), session.cursor))


def stock_logits(model: DecoderModel) -> Tensor:
    with torch.no_grad():
        return model.hf_model(input_ids=token_ids(6, 3)).logits


class Streamer:
    """Makes a call when the first new token comes, and goes on."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call, self.count = call, 0

    def put(self, value: Tensor) -> None:
        self.count += 1
        if self.count == 2:  # the first is the question
            self.call()

    def end(self) -> None:
        pass


def refused(call: Callable[[], object], match: str) -> Callable[[], None]:
    def check() -> None:
        with pytest.raises(RuntimeError, match=match):
            call()

    return check


INSIDE: dict[str, tuple[Callable[[VideoSession, VideoSession], object], str]] = {
    "push": (lambda session, other: push(session, 5), "this session is being used by another call"),
    "ask": (lambda session, other: session.ask([1]), "this session is being used by another call"),
    "push to another": (lambda session, other: push(other, 5), "this model is being used by anoth"),
    "adapter": (
        lambda session, other: opened(DecoderModel(other.model.hf_model)),  # type: ignore[attr-defined]
        "this model is being used by another call of this thread",
    ),
    "stock": (lambda session, other: stock_logits(other.model), "in the middle of an answer"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("inside", INSIDE)
def test_what_a_streamer_may_not_do_is_refused_and_the_answer_is_right(
    inside: str, fingerprint: Fingerprint
) -> None:
    model = DecoderModel(tiny_qwen2(rope_factor=2.0))
    session, other = opened(model), opened(model, 2)
    stock_logits(model)
    before = fingerprint(model)
    expected = session.ask(QUESTION, max_new_tokens=5)
    call, match = INSIDE[inside]
    streamer = Streamer(refused(lambda: call(session, other), match))
    answer = session.ask(QUESTION, max_new_tokens=5, streamer=streamer)
    assert streamer.count > 2
    assert torch.equal(answer.token_ids, expected.token_ids)
    assert torch.equal(answer.first_logits, expected.first_logits)
    require_same(session, opened(model), QUESTION, "the asked session")
    require_same(other, opened(model, 2), QUESTION, "the other session")
    assert fingerprint(model) == before


def test_another_thread_is_refused_while_a_model_is_lent() -> None:
    model = DecoderModel(tiny_qwen2())
    session, other = opened(model), opened(model)
    errors: list[str] = []

    def attempt(call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as error:
            errors.append(str(error))

    def in_a_thread() -> None:
        for call in (lambda: push(other, 5), lambda: stock_logits(model)):
            thread = Thread(target=attempt, args=(call,))
            thread.start()
            thread.join()

    session.ask(QUESTION, max_new_tokens=3, streamer=Streamer(in_a_thread))
    assert [error.split(":")[0] for error in errors] == [
        "this model is being used by another thread",
        "the model is lent to a crossframe step, and was called outside it",
    ]
    require_same(session, opened(model), QUESTION, "the first thread's session")
    require_same(other, opened(model), QUESTION, "the refused session")


def in_threads(*works: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_on_one_model_that_try_again_get_what_they_get_alone() -> None:
    model = DecoderModel(tiny_qwen2(rope_factor=2.0))
    sessions = [opened(model) for _ in range(3)]

    def work(session: VideoSession) -> None:
        pushes = 1
        while pushes < 8:
            try:
                push(session, pushes)
                pushes += 1
            except RuntimeError as error:
                assert "is being used by another thread" in str(error)

    in_threads(*(lambda session=session: work(session) for session in sessions))
    for session in sessions:
        require_same(session, opened(model, 8), QUESTION, "a session of one of the threads")


def test_threads_with_models_of_their_own_do_not_meet() -> None:
    models = [DecoderModel(tiny_qwen2()) for _ in range(2)]
    sessions = [opened(model) for model in models]

    def work(session: VideoSession) -> None:
        for seed in range(1, 8):
            push(session, seed)
            session.ask(QUESTION, max_new_tokens=2)

    in_threads(*(lambda session=session: work(session) for session in sessions))
    for session, model in zip(sessions, models, strict=True):
        require_same(session, opened(model, 8), QUESTION, "a session with a model of its own")


def test_what_an_interrupted_end_left_is_put_right_by_the_next_call(
    monkeypatch: pytest.MonkeyPatch, fingerprint: Fingerprint
) -> None:
    """Ctrl-C twice, each time before anything is put back."""
    model = DecoderModel(tiny_qwen2(rope_factor=2.0))
    session = opened(model)
    logits, before = stock_logits(model), fingerprint(model)

    def interrupted(self: Lender, *args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Lender, "_put_back", interrupted)
        with pytest.raises(KeyboardInterrupt):
            push(session, 1)
    held = session.archive.num_tokens
    with pytest.raises(RuntimeError, match="the next push or ask puts the model right"):
        stock_logits(model)
    assert session.archive.num_tokens == held
    push(session, 1)
    assert fingerprint(model) == before
    assert torch.equal(stock_logits(model), logits)
    require_same(session, opened(model, 2), QUESTION, "an interrupted session")


def test_a_model_copied_in_the_middle_of_a_step_is_refused() -> None:
    model, copies = DecoderModel(tiny_qwen2()), list[Any]()
    session = opened(model)
    streamer = Streamer(lambda: copies.append(copy.deepcopy(model.hf_model)))
    session.ask(QUESTION, max_new_tokens=3, streamer=streamer)
    copied = DecoderModel(copies[0])
    with pytest.raises(ValueError, match=r'call set_attn_implementation\("sdpa"\)'):
        opened(copied)
    copied.decoder.set_attn_implementation("sdpa")
    require_same(opened(copied), opened(model), QUESTION, "a copy put right")


def test_no_memory_for_the_planned_frequencies_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, fingerprint: Fingerprint
) -> None:
    model = DecoderModel(tiny_qwen2(rope_factor=2.0))
    logits, before = stock_logits(model), fingerprint(model)

    def no_memory(self: DecoderModel, max_tokens: int) -> Any:
        raise torch.OutOfMemoryError("planned")

    session = VideoSession(model, FullMemory(), max_tokens=400)
    with monkeypatch.context() as patch:
        patch.setattr(DecoderModel, "_frozen_rotary", no_memory)
        with pytest.raises(torch.OutOfMemoryError):
            push(session, 0)
    assert fingerprint(model) == before
    assert torch.equal(stock_logits(model), logits)
    push(session, 0)
    steady = VideoSession(DecoderModel(tiny_qwen2(rope_factor=2.0)), FullMemory(), max_tokens=400)
    push(steady, 0)
    require_same(session, steady, QUESTION, "a push that first found no memory")
