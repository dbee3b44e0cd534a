"""Steps are cut as a session cuts them that sees the frames up to a question in one push."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.experiments.streaming.shared_stream import SharedStream
from crossframe.framework import VideoModel, VideoSession
from crossframe.framework.video import VideoError
from crossframe.methods import StateKVMemory
from crossframe.models import InternVL3, Qwen3VL
from crossframe.models.tiny import tiny_internvl, tiny_qwen3_vl

STEPS = (1, 2, 3, 5)


@cache
def model(name: str) -> VideoModel:
    if name == "qwen3_vl":
        return Qwen3VL(*tiny_qwen3_vl(), planned_frames=4)
    return InternVL3(*tiny_internvl())


def video(count: int, height: int = 40) -> Tensor:
    """[count, height, 64, 3] random uint8."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, height, 64, 3), generator=generator).to(torch.uint8)


def opened(adapter: VideoModel) -> dict[str, VideoSession]:
    return {str(n): VideoSession(adapter, StateKVMemory(7), frames_per_step=n) for n in STEPS}


@given(st.sampled_from(["internvl3", "qwen3_vl"]), st.sets(st.integers(1, 13), min_size=1))
@settings(max_examples=6)
def test_stops_anywhere_see_what_a_session_in_one_push_sees(name: str, stops: set[int]) -> None:
    adapter, frames = model(name), video(13)
    stream = SharedStream(adapter, opened(adapter))
    question = adapter.question_ids("Who?")
    for count in range(1, 14):
        stream.push(frames[count - 1], count / 2)
        if count not in stops:
            continue
        assert stream.frames == count
        separate = opened(adapter)
        for cell, session in stream.sessions():
            separate[cell].push(frames[:count], [(n + 1) / 2 for n in range(count)])
            expected = separate[cell].question_logits(question)
            assert torch.equal(session.question_logits(question), expected)
            # `ask` lets a patch that is only begun pass and undoes it; here its cost counts.
            begun = count % adapter.frames_per_patch
            steps = [cost.tokens for cost in session.costs]
            assert steps[: len(steps) - bool(begun)] == [c.tokens for c in separate[cell].costs]


def test_a_session_without_anything_waiting_is_not_forked() -> None:
    adapter = model("internvl3")
    sessions = opened(adapter)
    stream = SharedStream(adapter, sessions)
    for number, frame in enumerate(video(6)):
        stream.push(frame, float(number))
    found = dict(stream.sessions())
    assert [cell for cell in sessions if found[cell] is sessions[cell]] == ["1", "2", "3"]


def test_frames_of_a_patch_that_differ_in_size_are_told() -> None:
    stream = SharedStream(model("qwen3_vl"), {})
    stream.push(video(1)[0], 0.0)
    with pytest.raises(VideoError, match=r"frame at 0 s: .* \[\(40, 64, 3\), \(64, 64, 3\)\]"):
        stream.push(video(1, height=64)[0], 0.5)


def test_frames_that_grow_past_what_was_planned_are_told() -> None:
    adapter = model("qwen3_vl")
    first = adapter.encode(video(2), [0.0, 0.5], opened(adapter)["1"].cursor)
    stream = SharedStream(adapter, {}, patch_tokens=first.num_tokens)
    for frame in video(2):
        stream.push(frame, 0.0)
    stream.push(video(1, height=200)[0], 1.0)
    with pytest.raises(VideoError, match=rf"grow from {first.num_tokens} to \d+ tokens at 1 s"):
        stream.push(video(1, height=200)[0], 1.5)
    anything = SharedStream(adapter, {})
    for frame in video(2, height=200):
        anything.push(frame, 0.0)


def test_what_the_model_refuses_is_a_matter_of_the_video() -> None:
    stream = SharedStream(model("qwen3_vl"), {})
    thin = torch.zeros(1, 500, 3, dtype=torch.uint8)
    stream.push(thin, 0.0)
    with pytest.raises(VideoError, match=r"cannot take the frame at 0 s: .*more than 200 times"):
        stream.push(thin, 0.5)
