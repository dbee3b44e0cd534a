"""Frames at given times are those on display then, however far apart and however often."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework.video import VideoError, frames_at, stream_video

from .samples import Library, decoded

VIDEOS = ["plain.mp4", "one_key.mp4", "irregular.mp4", "late_start.mkv", "plain.ts", "live.webm"]


@pytest.mark.parametrize("name", VIDEOS)
@settings(max_examples=15)
@given(times=st.lists(st.floats(0, 40) | st.integers(0, 12), max_size=12).map(sorted))
def test_each_time_shows_the_last_frame_up_to_then(
    library: Library, name: str, times: list[float]
) -> None:
    path = library(name)
    found = list(frames_at(path, times))
    assert len(found) == len(times)
    for (image, shown), time in zip(found, times, strict=True):
        expected, seconds = [one for one in decoded(path) if one[1] <= time + 1e-3][-1]
        assert torch.equal(image, expected)
        assert shown == pytest.approx(seconds, abs=1e-9)


def test_the_same_times_give_what_a_stream_gives(library: Library) -> None:
    path = library("plain.mp4")
    streamed = list(stream_video(path, fps=3))
    times = [step / 3 for step in range(len(streamed))]
    for (one, shown), (other, at) in zip(frames_at(str(path), times), streamed, strict=True):
        assert torch.equal(one, other)
        assert shown == at


def test_a_time_that_comes_again_is_shown_again_in_memory_of_its_own(library: Library) -> None:
    first, second = frames_at(library("plain.mp4"), [1.0, 1.0])
    first[0].zero_()
    assert second[0].any()
    assert first[1] == second[1] == 1.0


def test_times_far_apart_are_sought_not_decoded(
    write_video: Callable[..., Path], tmp_path: Path, decodings: list[None]
) -> None:
    path = write_video(tmp_path / "long.mp4", 1200, key_every=20)
    assert [time for _, time in frames_at(path, [5.0, 30.0, 55.0])] == [5.0, 30.0, 55.0]
    assert len(decodings) < 150


@pytest.mark.parametrize("times", [[-1.0], [2.0, 1.0], [1.0, math.nan], [math.nan], [math.inf]])
def test_times_that_fall_or_are_none_are_told_at_the_call(
    library: Library, times: list[float]
) -> None:
    with pytest.raises(VideoError, match=r"plain.mp4: times must be numbers that rise from 0, got"):
        frames_at(library("plain.mp4"), times)


def test_a_file_that_cannot_be_opened_is_told_with_the_first_frame(tmp_path: Path) -> None:
    frames = frames_at(tmp_path / "missing.mp4", [0.0])
    with pytest.raises(VideoError, match=r"missing.mp4: no such file"):
        next(frames)


def test_what_lies_before_damage_is_given(library: Library, tmp_path: Path) -> None:
    content = library("plain.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) // 2])
    frames, good = frames_at(cut, [0.0, 1.0, 1.5, 7.5]), decoded(library("plain.mp4"))
    for number in (0, 20, 30):
        assert torch.equal(next(frames)[0], good[number][0])
    with pytest.raises(VideoError, match=r"cut.mp4: the data are cut off .* all good: 3"):
        next(frames)
