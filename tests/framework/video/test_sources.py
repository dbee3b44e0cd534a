"""Whatever a video comes from, its frames are those of reading the file."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crossframe.framework.video import VideoError, frames_at, probe_video, stream_video
from crossframe.framework.video.pictures import natural_order
from crossframe.framework.video.source import _CAMERAS

from .samples import FRAMES, VIDEOS, Library, Sample, assert_same, decoded
from .serving import serving
from .serving_rtsp import camera

Options = dict[str, Any]
CHOICES: list[Options] = [
    {},
    {"fps": 7},
    {"fps": None},
    {"fps": None, "start": 2.5, "end": 5},
    {"fps": 0.5, "start": 3},
    {"max_frames": 3},
    {"fps": 2, "max_frames": 5, "start": 1},
    {"sampling": "centres", "end": 6.5},
]


@pytest.fixture(scope="module")
def address(library: Library) -> Iterator[str]:
    """Where a local server has the videos."""
    with serving(library("plain.mp4").parent) as address:
        yield address


@pytest.fixture(scope="module")
def folder(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every frame of a video as an image; names that plain sorting would mix up."""
    path = tmp_path_factory.mktemp("frames")
    for number, (image, _) in enumerate(decoded(library("plain.mp4"))):
        Image.fromarray(image.numpy()).save(path / f"frame{number}.png")
    (path / "notes.txt").write_text("no image")
    (path / ".hidden.png").write_bytes(b"no image")
    return path


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize("name", ["plain.mp4", "irregular.mkv", "plain.avi"])
def test_a_file_in_memory_gives_the_same_frames(
    library: Library, name: str, options: Options
) -> None:
    path = library(name)
    expected = list(stream_video(path, **options))
    assert_same(list(stream_video(BytesIO(path.read_bytes()), **options)), expected)
    with path.open("rb") as file:
        assert_same(list(stream_video(file, **options)), expected)


@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_an_address_gives_the_same_frames(library: Library, address: str, options: Options) -> None:
    for name in ("plain.mp4", "irregular.mkv"):
        expected = list(stream_video(library(name), **options))
        assert_same(list(stream_video(f"{address}/{name}", **options)), expected)


@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_a_folder_of_images_gives_the_same_frames(
    library: Library, folder: Path, options: Options
) -> None:
    expected = list(stream_video(library("plain.mp4"), **options))
    assert_same(list(stream_video(folder, rate=20, **options)), expected, 1e-9)
    images = [image for image, _ in decoded(library("plain.mp4"))]
    assert_same(list(stream_video(images, rate=20, **options)), expected, 1e-9)
    assert_same(list(stream_video(torch.stack(images), rate=20, **options)), expected, 1e-9)


@pytest.mark.parametrize("options", CHOICES[:5], ids=str)
def test_frames_without_a_known_end_give_the_same(library: Library, options: Options) -> None:
    images = (image for image, _ in decoded(library("plain.mp4")))
    expected = list(stream_video(library("plain.mp4"), **options))
    assert_same(list(stream_video(images, rate=20, **options)), expected, 1e-9)


def test_a_live_stream_goes_on_until_it_ends_or_enough_was_taken(
    library: Library, address: str
) -> None:
    # It tells no duration, and is not read through to measure it.
    live = f"{address}/{library('live.webm').name}"
    assert probe_video(live).duration == float("inf")
    choices: list[Options] = [{"fps": 2}, {"fps": None}, CHOICES[3], {"end": 99}]
    for options in choices:
        expected = list(stream_video(library("live.webm"), **options))
        assert_same(list(stream_video(live, **options)), expected)
    first = list(stream_video(library("live.webm"), fps=4))[:5]
    assert_same(list(stream_video(live, fps=4, max_frames=5)), first)
    with pytest.raises(VideoError, match=r"sampling is 'centres'; give 'auto', or an end"):
        stream_video(live, sampling="centres")


def test_a_camera_that_speaks_rtsp_is_live_and_begins_when_its_clock_is_known(
    library: Library,
) -> None:
    whole = decoded(library("plain.mp4"))

    def begun(samples: list[Sample]) -> list[Sample]:
        """The video from the first picture of the samples on."""
        first = next(
            number for number, (image, _) in enumerate(whole) if image.equal(samples[0][0])
        )
        assert first <= 1  # the first picture comes before any time is known
        return [(image, seconds - whole[first][1]) for image, seconds in whole[first:]]

    with camera(library("plain.mp4")) as address:
        assert probe_video(address).duration == float("inf")
        every = list(stream_video(address, fps=None))
        some = list(stream_video(address, fps=4, max_frames=6))
    assert_same(every, begun(every), 1e-4)
    assert_same(some, begun(some)[:30:5], 1e-4)


def test_frames_are_taken_one_by_one_from_whoever_hands_them_out(library: Library) -> None:
    images, asked = [image for image, _ in decoded(library("plain.mp4"))], []

    def handed_out() -> Iterator[torch.Tensor]:
        for number, image in enumerate(images):
            asked.append(number)
            yield image

    frames = stream_video(handed_out(), fps=None, rate=20)
    assert asked == []
    assert torch.equal(next(frames)[0], images[0])
    assert torch.equal(next(frames)[0], images[1])
    assert asked == [0, 1]


@pytest.mark.parametrize("name", VIDEOS)
@settings(max_examples=3)
@given(
    fps=st.none() | st.sampled_from([1, 2, 7, 20, 29.97]),
    cut=st.floats(0.05, 7.9) | st.sampled_from([1.0, 2.5, 4.0]),
)
def test_parts_add_up_to_the_whole(
    library: Library, name: str, fps: float | None, cut: float
) -> None:
    path = library(name)
    first = list(stream_video(path, fps=fps, end=cut))
    try:
        second = list(stream_video(path, fps=fps, start=cut))
    except VideoError as error:
        assert "no sample lies between" in str(error)
        second = []
    assert_same(first + second, list(stream_video(path, fps=fps)))


def test_a_later_start_is_sought_not_decoded(library: Library, decodings: list[None]) -> None:
    (frame,) = stream_video(library("plain.mp4"), fps=1, start=6, end=7)
    assert frame[1] == pytest.approx(6, abs=0.05)
    assert len(decodings) < FRAMES / 2


def test_a_folder_is_probed_and_times_are_shown_of_memory(library: Library, folder: Path) -> None:
    info = probe_video(folder, rate=20)
    assert (info.duration, info.num_frames, info.width, info.height) == (8.0, FRAMES, 48, 32)
    path = library("plain.mp4")
    shown = list(frames_at(BytesIO(path.read_bytes()), [1.0, 5.0]))
    assert_same(shown, list(frames_at(path, [1.0, 5.0])))


def test_names_are_sorted_as_people_count() -> None:
    names = ["a10.png", "a2.png", "a02b.png", "b1.png", "10.png", "9.png", "cover.png"]
    ordered = sorted(map(Path, names), key=natural_order)
    told = "9.png 10.png a2.png a02b.png a10.png b1.png cover.png"
    assert [str(path) for path in ordered] == told.split()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("plain", {"start": -1}, r"plain.mp4: start is -1; give seconds >= 0"),
        ("plain", {"start": 8.0}, r"start is 8, but it is 8 seconds long; give an earlier start"),
        ("plain", {"start": 3, "end": 3}, r"end is 3; give seconds after the start, 3, or None"),
        ("plain", {"fps": 0.1, "start": 1}, r"fps is 0.1; give more: no sample lies between 1 and"),
        ("plain", {"rate": 20}, r"plain.mp4: rate is 20; leave it out, a video has times"),
        ("folder", {}, r"frames\d*: rate is None; say how many frames are shown per second"),
        ("folder", {"rate": 0}, r"rate is 0; say how many frames"),
        (".", {"rate": 2}, r"a folder without an image in it; give a video, or a folder of"),
        ([], {"rate": 2}, r"<list>: has no frame in it; give at least one"),
        (b"\0", {"rate": 2}, r"<bytes> is no video: give the path of a file"),
        (7, {"rate": 2}, r"<int> is no video: give the path of a file"),
        (StringIO("ftyp"), {}, r"<StringIO>: was opened as text; open it with mode 'rb'"),
        (BytesIO(), {}, r"<BytesIO of 0 bytes>: nothing is left to read; seek to its start"),
        (BytesIO(b"x" * 99), {}, r"<BytesIO of 99 bytes>: not a video that FFmpeg can read"),
        (
            "webcam://front",
            {},
            r"webcam://front: which camera\? Give its number, such as webcam://0",
        ),
        ("http://127.0.0.1:9/no.mp4", {}, r"no.mp4: cannot be opened \(.*\); check the address"),
    ],
)
def test_what_cannot_be_a_source_is_told_with_the_remedy(
    source: Any,
    options: Options,
    message: str,
    library: Library,
    folder: Path,
    tmp_path: Path,
) -> None:
    named = {"plain": library("plain.mp4"), "folder": folder, ".": tmp_path}
    with pytest.raises(VideoError, match=message):
        stream_video(named.get(source, source) if isinstance(source, str) else source, **options)


def test_a_camera_that_is_not_there_or_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(VideoError, match=r"webcam://93: there is no /dev/video93; connect"):
        stream_video("webcam://93")
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(VideoError, match=r"webcam://0: cameras of plan9 are not known here; give"):
        stream_video("webcam://0")


def test_a_camera_is_read_as_a_device_of_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's own test picture in the place of a camera, which this machine may not have."""
    device = "lavfi", "testsrc=size=64x48:rate=4:duration=2,hue=h={}"
    monkeypatch.setitem(_CAMERAS, "linux", device)
    monkeypatch.setattr("sys.platform", "linux")
    frames = list(stream_video("webcam://7", fps=2))
    assert [seconds for _, seconds in frames] == [0.0, 0.5, 1.0, 1.5]
    assert {tuple(image.shape) for image, _ in frames} == {(48, 64, 3)}
    assert not torch.equal(frames[0][0], frames[-1][0])


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"1.png: an image that cannot be read \(.*copy it anew"):
        list(stream_video(tmp_path, rate=1))
