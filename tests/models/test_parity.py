"""Law 6 on real models: streaming equals one stock forward, and `ask` equals `generate`."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import CrossFrameMemory, Cursor, VideoSession
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2

from .stock import greedy, processed, require_equal, stock_logits, worst
from .streams import (
    DTYPES,
    TOLERANCES,
    UNBOUNDED,
    Watched,
    asked,
    cuts,
    pushed_in_cuts,
    session_after,
    video,
)

DECODERS: dict[str, dict[str, Any]] = {
    "two groups": {},
    "no groups": {"kv_heads": 4},
    "one group of seven": {"heads": 7, "kv_heads": 1, "hidden": 56, "layers": 3},
    "tied embeddings": {"tie_word_embeddings": True},
}


def named(memory: CrossFrameMemory) -> str:
    return type(memory).__name__


MEMORIES = pytest.mark.parametrize("memory", UNBOUNDED, ids=named)


class WatchedInternVL3(Watched, InternVL3):
    """Notes what passes the decoder."""

    picture_token = "image_token_id"


@cache
def decoder(kind: str, dtype: torch.dtype) -> DecoderModel:
    return DecoderModel(tiny_qwen2(dtype=dtype, **DECODERS[kind]))


@cache
def loaded(dtype: torch.dtype) -> tuple[Any, Any]:
    return tiny_internvl(dtype=dtype)


def internvl(dtype: torch.dtype) -> WatchedInternVL3:
    return WatchedInternVL3(*loaded(dtype))


def token_ids(model: DecoderModel, batch: int, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.spec.vocab, (batch, count), generator=generator)


def one_of(values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(values))


@DTYPES
@MEMORIES
@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_pushed_frame_by_frame_equals_one_forward(kind, memory, dtype):
    model = decoder(kind, dtype)
    ids = token_ids(model, 2, 40)
    session = VideoSession(model, memory)
    for part in ids[:, :33].split([10, 1, 12, 10], 1):
        session.push(model.frame(part, session.cursor))
    expected = stock_logits(model.hf_model, input_ids=ids)[:, 33:]
    assert worst(session.question_logits(ids[:, 33:]), expected) <= TOLERANCES[dtype]
    positions = session.archive.columns["positions"].view()
    assert torch.equal(positions, torch.arange(33).expand(1, 2, -1))


@given(data=st.data())
@settings(max_examples=40)
def test_a_decoder_equals_one_forward_however_the_stream_is_cut(data):
    model = decoder(data.draw(one_of(DECODERS)), data.draw(one_of(TOLERANCES)))
    memory = data.draw(one_of(UNBOUNDED))
    batch, seen, asked = data.draw(st.tuples(*[st.integers(1, n) for n in (3, 40, 6)]))
    ids = token_ids(model, batch, seen + asked, data.draw(st.integers(0, 99)))
    session = VideoSession(model, memory, frames_per_step=data.draw(st.integers(1, 4)))
    frames, cursor = [], Cursor()
    for part in ids[:, :seen].split(data.draw(cuts(seen)), 1):
        frames.append(model.frame(part, cursor))
        seen_now = cursor.tokens + part.shape[1]
        cursor = Cursor(tokens=seen_now, position=seen_now)
    for size in data.draw(cuts(len(frames))):
        session.push(frames[:size])
        del frames[:size]
    expected = stock_logits(model.hf_model, input_ids=ids)[:, seen:]
    got = session.question_logits(ids[:, seen:])
    assert worst(got, expected) <= TOLERANCES[model.dtype]


@DTYPES
@MEMORIES
@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoders_answer_is_greedy_generates(kind, memory, dtype):
    model = decoder(kind, dtype)
    ids = token_ids(model, 1, 40)
    session = VideoSession(model, memory)
    for part in ids[:, :33].split([10, 1, 12, 10], 1):
        session.push(model.frame(part, session.cursor))
    answer = session.ask(ids[:, 33:], max_new_tokens=20, min_new_tokens=20)
    assert answer.token_ids.tolist() == greedy(model.hf_model, 20, input_ids=ids)
    first = stock_logits(model.hf_model, input_ids=ids)[0, -1]
    assert worst(answer.first_logits, first) <= TOLERANCES[dtype]


@DTYPES
@MEMORIES
def test_internvl3_pushed_frame_by_frame_equals_the_stock_model_and_its_answer(memory, dtype):
    model, frames = internvl(dtype), video(4)
    require_equal(session_after(model, *frames, memory=memory), model, processed(model, frames))


@given(data=st.data())
@settings(max_examples=20)
def test_internvl3_equals_the_stock_model_however_the_video_is_cut(data):
    model = internvl(data.draw(one_of(TOLERANCES)))
    frames = video(data.draw(st.integers(1, 12)), seed=data.draw(st.integers(0, 99)))
    session = pushed_in_cuts(data, model, frames)
    require_equal(session, model, processed(model, frames), new=2)


def test_the_pictures_are_part_of_the_comparison():
    model = internvl(torch.float64)
    expected = stock_logits(model.hf_model, **processed(model, video(3)))
    got = asked(session_after(model, video(3).flip(0)))
    assert worst(got, expected[:, -got.shape[1] :]) > 0.1
