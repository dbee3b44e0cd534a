"""Law 6 on Qwen3-VL: streaming equals one stock forward of what the installed processor makes."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import FullMemory, VideoSession
from crossframe.models.qwen_vl.qwen3_vl import Qwen3VL
from crossframe.models.tiny import Qwen3VLOptions, tiny_qwen3_vl

from ..stock import greedy, processed, require_equal, stock_logits, worst
from ..streams import DTYPES, QUESTION, TOLERANCES, Watched, asked, pushed_in_cuts, video

KINDS: dict[str, Qwen3VLOptions] = {
    "dense": {},
    "tied": {"tie_word_embeddings": True, "hidden": 56, "heads": 7, "kv_heads": 1, "layers": 2},
    "experts": {"experts": 4},
}
SIZES = [(70, 100), (100, 70), (20, 31), (64, 200)]


class WatchedQwen3VL(Watched, Qwen3VL):
    """Notes what passes the decoder."""


@cache
def loaded(dtype: torch.dtype, kind: str) -> tuple[Any, Any]:
    return tiny_qwen3_vl(dtype=dtype, **KINDS[kind])


def adapter(
    dtype: torch.dtype, planned: int, kind: str = "dense", **options: Any
) -> WatchedQwen3VL:
    return WatchedQwen3VL(*loaded(dtype, kind), planned_frames=max(planned, 2), **options)


def whole(model: Qwen3VL, frames: Tensor, fps: float = 2.0) -> dict[str, Tensor]:
    """What the processor makes of all frames; it refuses one alone, so that one goes in twice."""
    if len(frames) > 1:
        return processed(model, frames, fps=fps)
    return processed(model, frames.expand(2, -1, -1, -1), fps=fps, numbers=[0, 0])


@pytest.mark.parametrize(
    ("kind", "count"),
    [("dense", count) for count in (1, 2, 3, 4, 5)] + [("tied", 3), ("experts", 5)],
)
@DTYPES
def test_frame_by_frame_equals_the_stock_model_and_its_answer(dtype, count, kind):
    model, frames = adapter(dtype, count, kind), video(count)
    session = VideoSession(model, FullMemory())
    for number, frame in enumerate(frames):
        session.push(frame, number / 2.0)
    require_equal(session, model, whole(model, frames))


@given(data=st.data(), fps=st.sampled_from([0.3, 1.0, 2.0, 29.97]), size=st.sampled_from(SIZES))
@settings(max_examples=15)
def test_any_cut_of_any_video_equals_the_stock_model(data, fps, size):
    count = data.draw(st.integers(1, 12))
    model = adapter(data.draw(st.sampled_from(list(TOLERANCES))), count)
    frames = video(count, size, data.draw(st.integers(0, 99)))
    session = pushed_in_cuts(data, model, frames, [number / fps for number in range(count)])
    require_equal(session, model, whole(model, frames, fps), new=2)


@pytest.mark.parametrize("count", [2, 5])
def test_the_releases_layout_equals_a_forward_without_the_outer_markers(count):
    model, frames = adapter(torch.float64, count, layout="release"), video(count)
    session = VideoSession(model, FullMemory())
    session.push(frames, [number / 2.0 for number in range(count)])
    inputs = whole(model, frames)
    ids = inputs["input_ids"]
    for name in ("input_ids", "mm_token_type_ids", "attention_mask"):
        inputs[name] = without_outer_markers(model, ids, inputs[name])
    require_equal(session, model, inputs)


def without_outer_markers(model: Qwen3VL, ids: Tensor, values: Tensor) -> Tensor:
    processor: Any = model.prompt.processor
    first = (ids[0] == processor.vision_start_token_id).nonzero()[0].item()
    last = (ids[0] == processor.vision_end_token_id).nonzero()[-1].item()
    kept = [place for place in range(ids.shape[1]) if place not in (first, last)]
    assert len(kept) == ids.shape[1] - 2
    return values[:, kept]


def test_pictures_and_their_order_are_part_of_the_comparison():
    model, frames = adapter(torch.float64, 4), video(4)
    expected = stock_logits(model.hf_model, **whole(model, frames))
    for changed in (frames.flip(0), frames.clone().fill_(7)):
        session = VideoSession(model, FullMemory())
        session.push(changed, [0.0, 0.5, 1.0, 1.5])
        got = asked(session)
        assert worst(got, expected[:, -got.shape[1] :]) > 0.1


def test_the_stock_model_may_have_answered_before():
    model, frames = adapter(torch.float64, 5), video(5)
    inputs = whole(model, frames)
    expected = greedy(model.hf_model, 20, **inputs)
    assert model.hf_model.model.rope_deltas is not None  # what stock `generate` leaves behind
    session = VideoSession(model, FullMemory())
    session.push(frames, [number / 2.0 for number in range(5)])
    for _ in range(2):
        answer = session.ask(QUESTION, max_new_tokens=20, min_new_tokens=20)
        assert answer.token_ids.tolist() == expected
    assert greedy(model.hf_model, 20, **inputs) == expected
