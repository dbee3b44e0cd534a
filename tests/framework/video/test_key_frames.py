"""Without the index that PyAV shows from 17.1 on, the same frames come out."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework.video import frames_at, key_frames, probe_video, stream_video
from crossframe.framework.video.key_frames import (
    IndexedKeyFrames,
    SoughtKeyFrames,
    key_frames_of,
)
from crossframe.framework.video.playhead import Playhead
from crossframe.framework.video.source import FileSource

from .samples import (
    VIDEOS,
    Library,
    assert_same,
    packets_of,
    tells_open_files,
    times_open,
    until_error,
)

SHOWS_INDEX = tuple(map(int, av.__version__.split(".")[:2])) >= (17, 1)
needs_index = pytest.mark.skipif(
    not SHOWS_INDEX, reason=f"PyAV {av.__version__} shows no index to compare with"
)


@contextmanager
def without_index(sought: bool = True) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if sought:
            patch.setattr(av, "__version__", "15.1.0")
        yield


def kind_of(path: Path) -> type:
    with av.open(path) as container:
        return type(key_frames_of(container, container.streams.video[0], FileSource(path)))


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("15.1.0", SoughtKeyFrames),
        ("17.0.1", SoughtKeyFrames),
        ("17.1.0", IndexedKeyFrames),
        ("18.0.0rc1", IndexedKeyFrames),
    ],
)
def test_the_version_decides(
    library: Library, monkeypatch: pytest.MonkeyPatch, version: str, kind: type
) -> None:
    monkeypatch.setattr(av, "__version__", version)
    assert kind_of(library("plain.mp4")) is kind


@needs_index
@pytest.mark.parametrize("name", ["plain.mp4", "open_gop.mp4", "irregular.mp4", "plain.avi"])
def test_both_kinds_name_the_same_key_frames(library: Library, name: str) -> None:
    """Where frames are stored in another order than shown, an mp4 sometimes seeks to the one
    before."""
    path = library(name)
    with av.open(path) as container:
        stream = container.streams.video[0]
        told = IndexedKeyFrames(stream)
        sought = SoughtKeyFrames(FileSource(path), container.format.name)
        end = stream.index_entries[-1].timestamp
        ticks = range(0, end, max(1, end // 50))
        expected = [told.last_until(tick) for tick in ticks]
        found = [sought.last_until(tick) for tick in ticks]
        sought.close()
    differing = [(one, other) for one, other in zip(found, expected, strict=True) if one != other]
    assert all(one is not None and other is not None and one < other for one, other in differing)
    assert len(differing) <= len(ticks) // 10
    assert len({*expected}) >= 4


def test_no_key_frame_is_known_before_the_first(library: Library) -> None:
    sought = SoughtKeyFrames(FileSource(library("late_start.mkv")), "matroska,webm")
    assert sought.last_until(0) is None
    assert sought.last_until(4000) == 3850
    sought.close()


def test_formats_without_an_index_are_not_sought_in(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought = SoughtKeyFrames(FileSource(library("plain.ts")), "mpegts")
    monkeypatch.setattr(key_frames, "open_video", lambda path: pytest.fail(f"opened {path}"))
    assert sought.last_until(10**6) is None
    sought.close()


# Which frames


@needs_index
@pytest.mark.parametrize("name", VIDEOS)
@settings(max_examples=6)
@given(
    options=st.fixed_dictionaries(
        {
            "fps": st.none() | st.sampled_from([0.4, 1, 7]) | st.floats(0.05, 60),
            "max_frames": st.none() | st.integers(1, 12),
            "sampling": st.sampled_from(["auto", "centres"]),
        }
    )
)
def test_frames_are_the_same(library: Library, name: str, options: dict[str, Any]) -> None:
    path = library(name)
    expected = list(stream_video(path, **options))
    with without_index():
        assert_same(list(stream_video(path, **options)), expected)


@pytest.mark.parametrize(
    ("name", "sought"), [("long.mp4", False), ("long.mp4", True), ("long.mkv", True)]
)
def test_sparse_samples_are_sought_not_decoded(
    write_video: Callable[..., Path],
    tmp_path: Path,
    name: str,
    sought: bool,
    monkeypatch: pytest.MonkeyPatch,
    decodings: list[None],
) -> None:
    path = write_video(tmp_path / name, 1200, key_every=20)
    with without_index(sought):
        samples = list(stream_video(path, max_frames=5))
    assert len(decodings) < 200
    monkeypatch.setattr(Playhead, "_jump", lambda *_: None)
    assert_same(samples, list(stream_video(path, max_frames=5)))
    assert len(decodings) > 1000


@pytest.mark.parametrize("sought", [pytest.param(False, marks=needs_index), True])
def test_a_key_frame_decoded_in_time_but_shown_too_late(library: Library, sought: bool) -> None:
    """Stored in decoding order: at 5.95 s the key frame shown at 6 s has been read already."""
    path = library("plain.mp4")
    (_, (shown, time)) = list(stream_video(path, fps=None))[118:120]
    with without_index(sought):
        samples = list(frames_at(path, [0.0, 5.95]))
    assert samples[1][1] == time == 5.95
    assert torch.equal(samples[1][0], shown)


@pytest.mark.parametrize("sought", [pytest.param(False, marks=needs_index), True])
def test_nothing_is_decoded_twice(library: Library, decodings: list[None], sought: bool) -> None:
    path = library("one_key.mp4")
    with without_index(sought):
        end = probe_video(path).duration
        decodings.clear()
        assert len(list(frames_at(path, [0.0, end / 2, end - 0.1]))) == 3
    assert len(decodings) <= 161  # all frames once, and the end


@tells_open_files
def test_second_file_is_closed(write_video: Callable[..., Path], tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", 200, key_every=20)
    with without_index():
        stream = stream_video(path, fps=0.4)
        assert times_open(path) == 0
        for files in (1, 2, 2):
            next(stream)
            assert times_open(path) == files
        stream.close()
        assert times_open(path) == 0


# Damage


@pytest.mark.parametrize(
    ("name", "sought"),
    [*((name, False) for name in ("plain.mp4", "irregular.mp4", "vp9.webm")), ("plain.mp4", True)],
)
@settings(max_examples=15)
@given(share=st.floats(0.2, 0.99), fps=st.sampled_from([None, 0.4, 3]))
def test_what_comes_before_a_cut_is_right(
    library: Library, name: str, sought: bool, share: float, fps: float | None
) -> None:
    whole = library(name)
    full, path = list(stream_video(whole, fps=fps)), whole.with_name(f"cut_{name}")
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with without_index(sought):
        taken, error = until_error(path, fps=fps)
    assert_same(taken, full[: len(taken)])
    assert (error is None) == (len(taken) == len(full))


@pytest.mark.parametrize("sought", [pytest.param(False, marks=needs_index), True])
def test_a_cut_between_two_frames_of_an_mp4_is_noticed(library: Library, sought: bool) -> None:
    whole = library("plain.mp4")
    packets = packets_of(whole)
    begin: Any = packets[99].pos
    end = begin + packets[99].size
    path = whole.with_name("between.mp4")
    path.write_bytes(whole.read_bytes()[:end])
    with without_index(sought):
        taken, error = until_error(path)
    assert 90 <= len(taken) <= 100
    assert error is not None


@pytest.mark.parametrize("sought", [pytest.param(False, marks=needs_index), True])
def test_an_mp4_that_lost_only_sound(library: Library, tmp_path: Path, sought: bool) -> None:
    """What differs: without the index, an mp4 counts as whole with the whole of its `mdat` only."""
    path = tmp_path / "sound_lost.mp4"
    data = bytearray(library("plain.mp4").read_bytes())
    place = data.index(b"mdat") - 4
    length = int.from_bytes(data[place : place + 4]) + 1000  # what would follow the pictures
    data[place : place + 4] = length.to_bytes(4)
    path.write_bytes(data)
    with without_index(sought):
        taken, error = until_error(path)
    assert len(taken) == (159 if sought else 160)  # the last frame is shown past its decoding time
    assert (error is not None) == sought


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


LONG = struct.pack(">I4sQ", 1, b"mdat", 16 + 30) + bytes(30)


@pytest.mark.parametrize(
    ("data", "promised"),
    [
        (box(b"ftyp", bytes(8)) + box(b"mdat", bytes(40)) + box(b"moov", bytes(9)), 64),
        (box(b"ftyp", bytes(8)) + LONG, 62),
        ((box(b"moof", bytes(20)) + box(b"mdat", bytes(40))) * 2, 152),
        ((box(b"ftyp", bytes(8)) + box(b"mdat", bytes(40)))[:50], 64),
        (box(b"mdat", bytes(40)) + b"rubbish behind the last box", 48),
        (struct.pack(">I4s", 0, b"mdat") + bytes(40), 0),
        (b"", 0),
    ],
    ids=["plain", "64 bit", "fragments", "cut off", "rubbish", "no length", "empty"],
)
def test_promised_bytes_of_an_mp4(tmp_path: Path, data: bytes, promised: int) -> None:
    path = tmp_path / "boxes.mp4"
    path.write_bytes(data)
    assert SoughtKeyFrames(FileSource(path), "mov,mp4,m4a").promised_bytes() == promised
    assert SoughtKeyFrames(FileSource(path), "matroska,webm").promised_bytes() == 0
