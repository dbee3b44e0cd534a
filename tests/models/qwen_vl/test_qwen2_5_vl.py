"""Qwen2.5-VL: positions in time, frame sizes."""

from functools import partial
from typing import Any

import pytest
import torch

from crossframe.framework import Cursor
from crossframe.methods import StateKVMemory
from crossframe.models.qwen_vl.qwen2_5_vl import Qwen2_5VL
from crossframe.models.tiny import tiny_qwen2_5_vl

from ...every import NATIVE
from ..stock import decoded_alike, processed, stock_logits, stock_positions, worst
from ..streams import asked, session_after, video

RATES = [0.1, 0.3, 1.0, 2.0, 3.0, 29.97]
adapter = partial(NATIVE["qwen2_5_vl"].model, fps=2.0)


def test_the_rate_is_part_of_the_comparison():
    slow, model, frames = adapter(fps=0.5), adapter(), video(4)
    got, expected = asked(session_after(slow, frames)), processed(model, frames, fps=2.0)
    assert worst(got, stock_logits(model.hf_model, **expected)[:, -got.shape[1] :]) > 0.05


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
    assert int(session.archive.columns["positions"].joined().max()) == start + 160
    found = session.slots(0)
    times = [int(found.positions[0][found.frame == number].max()) for number in range(3)]
    assert times == [start, start + 80, start + 160]


def test_the_answer_goes_on_behind_the_question_in_slow_videos():
    model, frames = adapter(fps=0.1), video(6)
    options: Any = {"max_new_tokens": 5, "min_new_tokens": 5}
    inputs = processed(model, frames, fps=0.1)
    assert len(decoded_alike(session_after(model, frames), inputs, options)) == 5


def test_timestamps_travel_along():
    model = adapter()
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


@pytest.mark.parametrize("size", [(100, 120), (20, 31), (300, 40)])
def test_a_patch_of_another_size_is_refused(size):
    model = adapter()
    session = session_after(model, video(4))
    with pytest.raises(ValueError, match=r"the 2 temporal patches before them .* to one size"):
        session.push(video(2, size))
    session.push(video(6)[4:])
    assert torch.equal(asked(session), asked(session_after(model, video(6))))


def test_the_vision_markers_are_no_part_of_an_answers_text():
    model = adapter()
    assert model.text(model.question_ids("What?")[0, :1]) == ""  # the closing one


def test_a_processor_whose_video_token_has_another_id_is_refused():
    model, processor = tiny_qwen2_5_vl()
    model.config.video_token_id = 7
    with pytest.raises(ValueError, match=r"<\|video_pad\|>' the id \d+, the model expects 7"):
        Qwen2_5VL(model, processor)
