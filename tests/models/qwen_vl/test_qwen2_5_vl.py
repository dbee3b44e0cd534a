"""Qwen2.5-VL: streaming equals one stock forward of what the installed processor makes."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework import Cursor, VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models.qwen_vl.qwen2_5_vl import Qwen2_5VL
from crossframe.models.tiny import tiny_qwen2_5_vl

from ..stock import decoded_alike, processed, require_equal, stock_logits, stock_positions, worst
from ..streams import (
    DTYPES,
    TOLERANCES,
    UNBOUNDED,
    Watched,
    asked,
    pushed_in_cuts,
    session_after,
    video,
)

KINDS: dict[str, dict[str, Any]] = {
    "untied": {},
    "tied": {"tie_word_embeddings": True, "hidden": 112, "heads": 7, "kv_heads": 1, "layers": 3},
}
SIZES = [(70, 100), (100, 70), (20, 31), (64, 200)]
RATES = [0.1, 0.3, 1.0, 2.0, 3.0, 29.97]


class WatchedQwen2_5VL(Watched, Qwen2_5VL):
    """Notes what passes the decoder."""


@cache
def loaded(dtype: torch.dtype, kind: str) -> tuple[Any, Any]:
    return tiny_qwen2_5_vl(dtype=dtype, **KINDS[kind])


def adapter(
    dtype: torch.dtype = torch.float64, kind: str = "untied", fps: float = 2.0
) -> WatchedQwen2_5VL:
    return WatchedQwen2_5VL(*loaded(dtype, kind), fps=fps)


# Parity


@pytest.mark.parametrize("memory", UNBOUNDED, ids=lambda memory: type(memory).__name__)
@pytest.mark.parametrize("kind", KINDS)
@DTYPES
def test_frame_by_frame_equals_the_stock_model_and_its_answer(dtype, kind, memory):
    model, frames = adapter(dtype, kind), video(5)
    session = VideoSession(model, memory)
    for number, frame in enumerate(frames):
        session.push(frame, number / 2.0)
    require_equal(session, model, processed(model, frames, fps=2.0))


@given(data=st.data(), fps=st.sampled_from(RATES), size=st.sampled_from(SIZES))
@settings(max_examples=15)
def test_any_cut_of_any_video_equals_the_stock_model(data, fps, size):
    model = adapter(data.draw(st.sampled_from(list(TOLERANCES))), fps=fps)
    frames = video(data.draw(st.integers(1, 9)), size, data.draw(st.integers(0, 99)))
    session = pushed_in_cuts(data, model, frames)
    require_equal(session, model, processed(model, frames, fps=fps), new=2)


def test_pictures_their_order_and_rate_are_part_of_the_comparison():
    model, frames = adapter(), video(4)
    expected = stock_logits(model.hf_model, **processed(model, frames, fps=2.0))
    others = [session_after(model, frames.flip(0)), session_after(model, frames.clone().fill_(7))]
    for session in [*others, session_after(adapter(fps=0.5), frames)]:
        got = asked(session)
        assert worst(got, expected[:, -got.shape[1] :]) > 0.05


# Positions in time


@pytest.mark.parametrize("fps", RATES)
def test_times_of_a_long_video_are_the_stock_models(fps):
    model, frames = adapter(fps=fps), video(2)
    inputs = processed(model, frames.repeat(30, 1, 1, 1), fps=fps)
    asked(session_after(model, *[frames] * 30, memory=StateKVMemory(4)))
    assert torch.equal(model.passed_positions(), stock_positions(model, inputs))


def test_text_goes_on_behind_the_rows_and_columns():
    session = session_after(adapter(fps=0.1), video(6))  # 80 positions in time between two patches
    start = session.cursor.tokens - 3 * 8
    assert session.cursor.position == start + 4
    assert int(session.archive.columns["positions"].view().max()) == start + 160
    found = session.slots(0)
    times = [int(found.positions[0][found.frame == number].max()) for number in range(3)]
    assert times == [start, start + 80, start + 160]


def test_the_answer_goes_on_behind_the_question_in_slow_videos():
    model, frames = adapter(fps=0.1), video(6)
    options: Any = {"max_new_tokens": 5, "min_new_tokens": 5}
    inputs = processed(model, frames, fps=0.1)
    assert len(decoded_alike(session_after(model, frames), inputs, options)) == 5


def test_timestamps_travel_along_and_place_nothing():
    model = adapter()
    session, timed = session_after(model, video(3)), session_after(model)
    timed.push(video(3), [0.0, 5.0, 5.5])
    assert torch.equal(asked(session), asked(timed))
    with torch.no_grad():
        prompt = model.prologue(Cursor())
        assert prompt is not None
        cursor = Cursor(prompt.num_tokens, 0, prompt.num_tokens)
        patch = model.encode(video(2), [1.5, 2.0], cursor)
    assert patch.timestamp == 1.5
    assert patch.take(torch.tensor([0])).next_position == patch.next_position


@pytest.mark.parametrize("fps", [0, -1.0, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(fps):
    with pytest.raises(ValueError, match="fps must be a number of frames per second above 0"):
        adapter(fps=fps)


# Streams


def test_a_waiting_frame_is_asked_about_and_changes_nothing():
    model = adapter()
    session = session_after(model, video(5))
    assert (session.cursor.frames, len(session.state.pending)) == (2, 1)
    before = session.cursor
    assert torch.equal(asked(session), asked(session))
    assert session.cursor == before
    session.push(video(6)[5])
    assert torch.equal(asked(session), asked(session_after(model, video(6))))


@pytest.mark.parametrize("size", [(100, 120), (20, 31), (300, 40)])
def test_a_patch_of_another_size_is_refused(size):
    model = adapter()
    session = session_after(model, video(4))
    with pytest.raises(ValueError, match=r"the 2 temporal patches before them .* to one size"):
        session.push(video(2, size))
    session.push(video(6)[4:])
    assert torch.equal(asked(session), asked(session_after(model, video(6))))


@pytest.mark.parametrize("size", [(1, 1), (1, 199), (2160, 3840)])
def test_frames_of_any_size_pass(size):
    session = session_after(adapter(), video(1, size))
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


def test_the_vision_markers_are_no_part_of_an_answers_text():
    model = adapter()
    assert model.text(model.question_ids("What?")[0, :1]) == ""  # the closing one


def test_a_processor_whose_video_token_has_another_id_is_refused():
    model, processor = tiny_qwen2_5_vl()
    model.config.video_token_id = 7
    with pytest.raises(ValueError, match=r"<\|video_pad\|>' the id \d+, the model expects 7"):
        Qwen2_5VL(model, processor)
