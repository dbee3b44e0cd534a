"""Dynamic NTK scaling is fixed once for the planned length; nothing stays on the module."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    VideoSession,
)
from crossframe.methods import RecencyMemory, SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.cache_layers import cache_argument
from crossframe.models.tiny import tiny_internvl, tiny_qwen2

from .stock import processed, stock_logits, worst
from .streams import DTYPES, TOLERANCES, token_ids, video

TRAINED = 64
SCALED: dict[str, Any] = {"max_position_embeddings": TRAINED, "rope_factor": 2.0}
UNBOUNDED = [FullMemory(), StateKVMemory(None), RecencyMemory(None), SlidingWindowMemory(None)]
PARTS = [30, 25, 1, 30, 10]  # the third frame ends below the trained range, the fourth beyond


def scaled(dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    """A new model each time: the stock switch leaves its last base on the module."""
    return tiny_qwen2(dtype=dtype, **{**SCALED, **options})


def scaled_internvl(dtype: torch.dtype) -> tuple[Any, Any]:
    return tiny_internvl(dtype=dtype, **SCALED)


def one_shot(ids: Tensor, dtype: torch.dtype = torch.float64, **options: Any) -> Tensor:
    return stock_logits(scaled(dtype, **options), input_ids=ids)


def streamed(
    model: DecoderModel, memory: CrossFrameMemory, ids: Tensor, max_tokens: int | None
) -> VideoSession:
    session = VideoSession(model, memory, max_tokens=max_tokens)
    for part in ids.split(PARTS, 1):
        session.push(model.frame(part, session.cursor))
    return session


@DTYPES
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("memory", UNBOUNDED, ids=lambda memory: type(memory).__name__)
def test_planned_for_the_exact_length_it_equals_the_stock_one_shot_forward(memory, batch, dtype):
    ids = token_ids(100, batch=batch)
    session = streamed(DecoderModel(scaled(dtype)), memory, ids[:, :96], max_tokens=100)
    got = session.question_logits(ids[:, 96:])
    assert worst(got, one_shot(ids, dtype)[:, 96:]) <= TOLERANCES[dtype]


@DTYPES
def test_internvl3_past_its_trained_range_equals_the_stock_model(dtype):
    frames = video(9, (40, 60))
    inputs = processed(InternVL3(*scaled_internvl(dtype)), frames, "What moves?")
    length = inputs["input_ids"].shape[1]
    assert length > TRAINED
    expected = stock_logits(scaled_internvl(dtype)[0], **inputs)
    model = InternVL3(*scaled_internvl(dtype))
    session = VideoSession(model, FullMemory(), max_tokens=length)
    for frame in frames:
        session.push(frame)
    got = session.question_logits(model.question_ids("What moves?"))
    assert worst(got, expected[:, -got.shape[1] :]) <= TOLERANCES[dtype]


def test_the_stock_switch_would_mix_bases_in_a_streamed_cache():
    ids = token_ids(100)
    stock, cache = scaled(), {cache_argument(): DynamicCache()}
    expected = one_shot(ids)[:, 96:]
    mixed = expected
    with torch.no_grad():
        for part in ids.split([*PARTS, 4], 1):
            mixed = stock(input_ids=part, use_cache=True, **cache).logits
    session = streamed(DecoderModel(scaled()), FullMemory(), ids[:, :96], max_tokens=100)
    assert worst(mixed, expected) > 1e-2
    assert worst(session.question_logits(ids[:, 96:]), expected) <= 1e-9


def test_without_a_plan_the_trained_range_is_the_end_and_nothing_is_lost():
    ids = token_ids(100)
    model = DecoderModel(scaled())
    session = VideoSession(model, FullMemory())
    for part in ids[:, :56].split([30, 25, 1], 1):
        session.push(model.frame(part, session.cursor))
    too_long = model.frame(ids[:, 56:66], session.cursor)
    with pytest.raises(ValueError, match=r"reach 66 tokens.*planned for 64.*max_tokens=66"):
        session.push(too_long)
    with pytest.raises(ValueError, match=r"question and answer would reach 70.*max_tokens=70"):
        session.ask(ids[:, 56:60], max_new_tokens=10)
    assert session.cursor.tokens == 56
    session.push(model.frame(ids[:, 56:60], session.cursor))
    got = session.question_logits(ids[:, 60:64])
    assert worst(got, one_shot(ids[:, :64])[:, 60:]) <= 1e-9


def test_without_scaling_the_trained_range_is_the_end_too():
    model = DecoderModel(scaled(rope_factor=None))
    session = VideoSession(model, FullMemory())
    with pytest.raises(ValueError, match="planned for 64"):
        session.push(model.frame(token_ids(65)))


@pytest.mark.parametrize("max_tokens", [None, 61, 64])
@pytest.mark.parametrize("factor", [1.3, 2.0, 7.7])
def test_a_plan_inside_the_trained_range_changes_nothing(factor, max_tokens):
    ids = token_ids(60)
    model = DecoderModel(scaled(rope_factor=factor))
    session = VideoSession(model, FullMemory(), max_tokens=max_tokens)
    session.push(model.frame(ids[:, :50]))
    expected = one_shot(ids, rope_factor=factor)[:, 50:]
    assert worst(session.question_logits(ids[:, 50:]), expected) <= 1e-9


def test_every_session_keeps_its_own_base():
    ids = token_ids(100)
    model = DecoderModel(scaled())
    plans = [96, 100, 200, 5000]
    alone = [
        streamed(DecoderModel(scaled()), FullMemory(), ids[:, :96], plan).question_logits([1])
        if plan > 96
        else None
        for plan in plans
    ]
    sessions = [VideoSession(model, FullMemory(), max_tokens=plan) for plan in plans]
    for part in ids[:, :96].split(PARTS, 1):
        for session in sessions:
            session.push(model.frame(part, session.cursor))
    answers = [session.question_logits([1]) for session in sessions[1:]]
    for got, expected in zip(answers, alone[1:], strict=True):
        assert expected is not None
        assert torch.equal(got, expected)
    assert worst(answers[0], answers[1]) > 1e-2
    assert worst(answers[1], answers[2]) > 1e-2


def test_a_base_the_stock_model_left_behind_does_not_matter():
    ids = token_ids(60)
    stock = scaled()
    with torch.no_grad():
        stock(input_ids=token_ids(300))
    left = stock.model.rotary_emb.inv_freq.clone()
    model = DecoderModel(stock)
    session = VideoSession(model, FullMemory())
    session.push(model.frame(ids[:, :50]))
    assert worst(session.question_logits(ids[:, 50:]), one_shot(ids)[:, 50:]) <= 1e-9
    assert torch.equal(stock.model.rotary_emb.inv_freq, left)


@pytest.mark.parametrize("max_tokens", [None, 200], ids=["inside", "beyond"])
def test_nothing_stays_on_the_module_after_push_and_ask(
    max_tokens: int | None, fingerprint: Callable[[DecoderModel], dict[str, Any]]
):
    ids, model = token_ids(50), DecoderModel(scaled())
    session = VideoSession(model, StateKVMemory(7), max_tokens=max_tokens)
    before = fingerprint(model)
    assert before["rope"]["rope_type"] == "dynamic"
    session.push(model.frame(ids))
    assert fingerprint(model) == before
    session.ask([1, 2], max_new_tokens=3)
    assert fingerprint(model) == before
    session.question_logits([1, 2])
    assert fingerprint(model) == before
    model.rotate(session.slots(0).keys, session.slots(0).positions, session.max_tokens)
    assert fingerprint(model) == before


class Interrupted(Exception):
    """Comes out of the middle of a decoder layer."""


def test_nothing_stays_on_the_module_after_an_exception_in_a_step(
    fingerprint: Callable[[DecoderModel], dict[str, Any]],
):
    ids, model = token_ids(80), DecoderModel(scaled())
    session = VideoSession(model, StateKVMemory(7), max_tokens=200)
    session.push(model.frame(ids[:, :70]))
    before, logits = fingerprint(model), session.question_logits([1, 2])
    frame = model.frame(ids[:, 70:], session.cursor)
    for step in (
        lambda: session.push(frame),
        lambda: session.ask([1, 2], max_new_tokens=3),
        lambda: session.question_logits([1, 2]),
    ):
        _interrupt_once(model, step)
        assert fingerprint(model) == before
        assert torch.equal(session.question_logits([1, 2]), logits)


def _interrupt_once(model: DecoderModel, step: Callable[[], object]) -> None:
    def raise_interrupted(*_: object) -> None:
        raise Interrupted

    hook = model.decoder.layers[1].mlp.register_forward_pre_hook(raise_interrupted)
    with pytest.raises(Interrupted):
        step()
    hook.remove()


def test_a_frame_that_the_session_refuses_leaves_the_base_alone(
    fingerprint: Callable[[DecoderModel], dict[str, Any]],
):
    model = DecoderModel(scaled())
    session = VideoSession(model, FullMemory(), max_tokens=100)
    before = fingerprint(model)
    positions = torch.arange(3)[None, None]
    with pytest.raises(ValueError, match="hidden size 5"):
        session.push(FrameTokens(torch.zeros(1, 3, 5), positions))
    assert fingerprint(model) == before
