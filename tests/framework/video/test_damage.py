"""Files and settings that are no good: told at the call, or after the last good frame."""

import math
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework.video import VideoError, frames_at, stream_video

from .samples import FRAMES, Library, until_error
from .serving import serving

# Bad input


@pytest.mark.parametrize(
    ("name", "values", "remedy"),
    [
        ("fps", [0, -1, math.nan, math.inf, True, "2"], "a number > 0, or None"),
        ("max_frames", [0, -3, 2.0, True, "8"], "an integer >= 1"),
        ("sampling", ["random"], "'auto' or 'centres'"),
    ],
)
def test_wrong_settings_are_told_at_the_call(
    library: Library, name: str, values: list[Any], remedy: str
) -> None:
    for value in values:
        with pytest.raises(VideoError, match=rf"plain.mp4: {name} is {value!r}; give {remedy}"):
            stream_video(library("plain.mp4"), **{name: value})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "no such file; check the path"),
        ("empty.mp4", b"", "the file is empty; copy or download it anew"),
        ("text.mp4", b"not a video\n" * 99, "not a video that FFmpeg can read"),
        ("text.txt", b"not a video\n" * 99, "a text file, not a video; give an mp4"),
    ],
)
def test_no_video_at_all(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=f"{path}: {message}"):
        stream_video(path)


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=f"{tmp_path}: a folder without an image in it; give a"):
        stream_video(tmp_path)
    with pytest.raises(VideoError, match=f"{tmp_path}: is a directory; give one video file"):
        next(frames_at(tmp_path, [0.0]))


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    with pytest.raises(VideoError, match=r"sound.wav: no video stream in it, only audio; give"):
        stream_video(path)


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(path, "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        flag: Any = Disposition.attached_pic
        cover.disposition = flag.value  # PyAV 15 takes no more than the number
        picture = av.VideoFrame(16, 16, "yuvj420p")
        picture.pts = 0
        container.mux(cover.encode(picture))
        container.mux(cover.encode())
    with pytest.raises(VideoError, match=r"song.mp4: no video stream in it, only a cover; give"):
        stream_video(path)


@pytest.mark.parametrize("frames", [5, 150])
def test_raw_stream_without_times(
    frames: int, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "raw.h264", frames)
    timeless = r"carry no times; .* ffmpeg -i FILE -c copy FILE.mp4"
    with pytest.raises(VideoError, match=timeless):
        stream_video(path)
    with serving(tmp_path) as address, pytest.raises(VideoError, match=timeless):
        stream_video(f"{address}/{path.name}")


# Damage


def test_index_cut_off(library: Library) -> None:
    whole = library("open_gop.mp4").read_bytes()  # not faststart: the index is at the end
    path = library("plain.mp4").with_name("cut.mp4")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"cut.mp4: an mp4 without its index \(moov\): cut off"):
        stream_video(path)


def test_no_frame_left(library: Library) -> None:
    path = library("plain.mp4").with_name("headless.mp4")
    whole = library("plain.mp4").read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat") + 10])
    with pytest.raises(VideoError, match=r"headless.mp4: holds no frame that can be decoded"):
        stream_video(path)


def test_cut_file_tells_what_was_good(library: Library) -> None:
    path, whole = library("plain.mp4").with_name("half.mp4"), library("plain.mp4").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    taken, error = until_error(path)
    assert FRAMES // 4 < len(taken) < FRAMES * 3 // 4
    text = rf"half.mp4: the data are cut off .* [0-9.]+ s after .* all good: {len(taken)}\. Copy or"
    with pytest.raises(VideoError, match=text):
        raise error or AssertionError("no error")


def test_frame_cut_in_two_is_not_shown(library: Library) -> None:
    whole = library("plain.avi")  # here the cut shows in the last packet alone
    path = whole.with_name("cut_plain.avi")
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    taken, error = until_error(path)
    full = [frame for frame, _ in stream_video(whole, fps=None)]
    assert error is not None
    assert FRAMES // 4 < len(taken) < FRAMES * 3 // 4
    assert all(torch.equal(frame, full[step]) for step, (frame, _) in enumerate(taken))


@settings(max_examples=25)
@given(where=st.floats(0, 1), value=st.integers(1, 255), fps=st.sampled_from([None, 1]))
def test_damaged_bytes_never_raise_anything_else(
    library: Library, where: float, value: int, fps: float | None
) -> None:
    data = bytearray(library("plain.mp4").read_bytes())
    data[int(where * (len(data) - 1))] ^= value
    path = library("plain.mp4").with_name("damaged.mp4")
    path.write_bytes(data)
    until_error(path, fps=fps, max_frames=500)
