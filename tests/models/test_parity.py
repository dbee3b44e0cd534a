"""Law 6 on real models: streaming equals one stock forward, and `ask` equals `generate`."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import CrossFrameMemory, Cursor, FullMemory, VideoSession
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

from ..every import FEW_UNBOUNDED, NATIVE, UNBOUNDED, named
from .stock import greedy, processed, require_equal, stock_logits, worst
from .streams import DTYPES, TOLERANCES, asked, cuts, pushed_in_cuts, session_after, video

DECODERS: dict[str, dict[str, Any]] = {
    "two groups": {},
    "no groups": {"kv_heads": 4},
    "one group of seven": {"heads": 7, "kv_heads": 1, "hidden": 56, "layers": 3},
    "tied embeddings": {"tie_word_embeddings": True},
}


KINDS = [
    pytest.param(
        *(name, kind, memory),
        id="-".join((name, kind, named(memory))),
        marks=[]
        if memory in FEW_UNBOUNDED or not (kind or kind in family.brief)
        else pytest.mark.soak,
    )
    for name, family in NATIVE.items()
    for kind in ("", *family.kinds)
    for memory in UNBOUNDED
]
SIZES = [(70, 100), (100, 70), (20, 31), (64, 200)]
RATES = [0.1, 0.3, 1.0, 2.0, 3.0, 29.97]
MEMORIES = pytest.mark.parametrize("memory", UNBOUNDED, ids=named)


@cache
def decoder(kind: str, dtype: torch.dtype) -> DecoderModel:
    return DecoderModel(tiny_qwen2(dtype=dtype, **DECODERS[kind]))


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
    positions = session.archive.columns["positions"].joined()
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


# Families: what the installed processor makes of the whole video, in one stock forward


def require_parity(
    name: str, dtype: torch.dtype, kind: str, count: int, memory: CrossFrameMemory
) -> None:
    family, frames = NATIVE[name], video(count)
    model = family.model(dtype, kind).for_stream(count)
    session = VideoSession(model, memory)
    for number, frame in enumerate(frames):
        session.push(frame, family.fps and number / family.fps)
    require_equal(session, model, processed(model, frames, fps=family.fps))


@DTYPES
@pytest.mark.parametrize(("name", "kind", "memory"), KINDS)
def test_frame_by_frame_equals_the_stock_model_and_its_answer(name, kind, memory, dtype):
    require_parity(name, dtype, kind, 5, memory)


@DTYPES
@pytest.mark.parametrize(("kind", "count"), [("", 1), ("", 2), ("", 3), ("", 4), ("tied", 3)])
def test_qwen3_vl_frames_that_fill_no_patch_equal_the_stock_model_too(kind, count, dtype):
    require_parity("qwen3_vl", dtype, kind, count, FullMemory())


BRIEF = [name for name, family in NATIVE.items() if "" in family.brief]


@pytest.mark.parametrize("name", sorted(NATIVE.keys() - set(BRIEF)))
@given(data=st.data())
@settings(max_examples=10)
def test_any_cut_of_any_video_equals_the_stock_model(name, data):
    require_any_cut(name, data)


@pytest.mark.parametrize("name", BRIEF)
@given(data=st.data())
@settings(max_examples=5)
def test_some_cuts_of_any_video_equal_the_stock_model(name, data):
    require_any_cut(name, data)


def require_any_cut(name: str, data: st.DataObject) -> None:
    family, count = NATIVE[name], data.draw(st.integers(1, 12))
    fps = family.fps and data.draw(one_of(RATES))
    model = family.model(data.draw(one_of(TOLERANCES))).for_stream(count, fps=fps)
    frames = video(count, data.draw(one_of(SIZES)), data.draw(st.integers(0, 99)))
    times = None if fps is None else [number / fps for number in range(count)]
    session = pushed_in_cuts(data, model, frames, times)
    require_equal(session, model, processed(model, frames, fps=fps), new=2)


@pytest.mark.parametrize("name", NATIVE)
def test_pictures_and_their_order_are_part_of_the_comparison(name):
    frames, fps = video(4), NATIVE[name].fps
    model = NATIVE[name].model().for_stream(4)
    expected = stock_logits(model.hf_model, **processed(model, frames, fps=fps))
    for changed in (frames.flip(0), frames.clone().fill_(7)):
        got = asked(session_after(model, changed))
        assert worst(got, expected[:, -got.shape[1] :]) > (0.05 if name == "qwen2_5_vl" else 0.1)
