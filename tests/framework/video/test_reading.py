"""Video files become frames and times: exactly those a full decode would pick, in little memory."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework.video import VideoInfo, frames_at, probe_video, stream_video

from .samples import (
    FRAMES,
    VIDEOS,
    Library,
    Sample,
    assert_same,
    decoded,
    tells_open_files,
    times_open,
)


def oracle(
    path: Path, *, fps: float | None = 1.0, max_frames: int | None = None, sampling: str = "auto"
) -> list[Sample]:
    """What the docstring of `stream_video` promises, in a plain way."""
    frames, duration = decoded(path), probe_video(path).duration
    if sampling == "auto":
        if fps is None:
            picked = frames
        else:
            times, step = [0.0], 1
            while step / fps < duration - 1e-3:
                times.append(step / fps)
                step += 1
            picked = [on_display(frames, time) for time in times]
        if max_frames is None or len(picked) <= max_frames:
            return picked
    count = len(frames) if fps is None else max(1, int(duration * fps))
    count = count if max_frames is None else min(count, max_frames)
    return [on_display(frames, (i + 0.5) * duration / count) for i in range(count)]


def on_display(frames: list[Sample], time: float) -> Sample:
    return [sample for sample in frames if sample[1] <= time + 1e-3][-1]


# Which frames


options_of_sampling = st.fixed_dictionaries(
    {
        "fps": st.none() | st.sampled_from([0.5, 1, 2, 7, 20, 29.97]) | st.floats(0.05, 60),
        "max_frames": st.none() | st.integers(1, 12) | st.integers(100, 200),
        "sampling": st.sampled_from(["auto", "centres"]),
    }
)


@pytest.mark.parametrize("name", VIDEOS)
@settings(max_examples=10)
@given(options=options_of_sampling)
def test_frames_are_those_a_full_decode_picks(
    library: Library, name: str, options: dict[str, Any]
) -> None:
    path = library(name)
    assert_same(list(stream_video(path, **options)), oracle(path, **options), within=1e-9)


def test_frame_is_rgb_and_has_its_true_time(library: Library) -> None:
    frame, time = list(stream_video(library("plain.mp4"), fps=3))[1]
    assert (frame.dtype, tuple(frame.shape), time) == (
        torch.uint8,
        (32, 48, 3),
        pytest.approx(0.3),
    )


def test_default_is_one_frame_a_second(library: Library) -> None:
    assert [time for _, time in stream_video(library("plain.mp4"))] == list(range(8))


def test_beyond_the_cap_frames_are_segment_centres(library: Library) -> None:
    times = [time for _, time in stream_video(library("plain.mp4"), fps=2, max_frames=4)]
    assert times == [1, 3, 5, 7]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_applied(
    write_video: Callable[..., Path], tmp_path: Path, rotation: int
) -> None:
    upright = write_video(tmp_path / "upright.mp4", 3)
    turned = write_video(tmp_path / "turned.mp4", 3, rotation=rotation)
    expected = [(torch.rot90(frame, rotation // 90), time) for frame, time in decoded(upright)]
    assert_same(list(stream_video(turned, fps=None)), expected, within=1e-9)
    assert (probe_video(turned).height, probe_video(turned).width) == expected[0][0].shape[:2]


def test_size_may_change_inside_a_stream(write_video: Callable[..., Path], tmp_path: Path) -> None:
    first = write_video(tmp_path / "first.ts", 10)
    second = write_video(tmp_path / "second.ts", 10, ticks=range(12, 22), size=(64, 48))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    shapes = [tuple(frame.shape) for frame, _ in stream_video(joined, fps=None)]
    assert shapes == [(32, 48, 3)] * 10 + [(48, 64, 3)] * 10


def test_probe(library: Library) -> None:
    path = library("plain.mp4")
    assert probe_video(str(path)) == VideoInfo(path, 8.0, 20.0, 48, 32, FRAMES)
    assert probe_video(library("plain.ts")).num_frames is None
    assert probe_video(library("late_start.mkv")).duration == pytest.approx(8, abs=0.01)
    measured = probe_video(library("live.webm"))
    assert (measured.duration, measured.num_frames) == (pytest.approx(8, abs=0.01), FRAMES)


# Memory and files


def test_only_the_frame_in_hand_is_alive(library: Library) -> None:
    seen: list[weakref.ref[torch.Tensor]] = []
    most = 0
    for frame, _ in stream_video(library("plain.mp4"), fps=None):
        seen.append(weakref.ref(frame))
        most = max(most, sum(reference() is not None for reference in seen))
    assert (len(seen), most) == (FRAMES, 1)


def test_repeated_frames_share_no_memory(write_video: Callable[..., Path], tmp_path: Path) -> None:
    first, second, *_ = stream_video(write_video(tmp_path / "slow.mp4", 4, fps=1), fps=4)
    first[0].zero_()
    assert second[1] == 0.0
    assert second[0].any()


@tells_open_files
@pytest.mark.parametrize("open_stream", [stream_video, lambda path: frames_at(path, [0.0, 1.0])])
def test_file_is_closed_whatever_happens(library: Library, open_stream: Callable[..., Any]) -> None:
    path = library("plain.mp4")
    open_stream(path)
    assert not times_open(path)
    stream = open_stream(path)
    assert not times_open(path)
    next(stream)
    assert times_open(path)
    stream.close()
    assert not times_open(path)
    stream = open_stream(path)
    next(stream)
    del stream
    gc.collect()
    assert not times_open(path)
    list(open_stream(path))
    assert not times_open(path)
