"""Good videos with odd names, titles and tags; damage that only the file's own words tell."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import av.error
import pytest
import torch

from crossframe.framework.video import VideoError, frames_at, probe_video, stream_video
from crossframe.framework.video import reading as video
from crossframe.framework.video.promised_bytes import end_of_clusters, end_of_movi
from crossframe.framework.video.source import FileSource

from .samples import FRAMES, Library, Sample, assert_same, packets_of, until_error

Write = Callable[..., Path]


# Names and titles


@pytest.mark.parametrize("name", ["a:b.mp4", "http:x.mp4", "%d.mp4", "x%03d.mp4", "-i.mp4"])
def test_a_name_is_a_name(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """FFmpeg reads a protocol before a colon, and a pattern of many files in %d."""
    (tmp_path / name).write_bytes(library("plain.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert_same(list(stream_video(name, fps=1)), list(stream_video(library("plain.mp4"), fps=1)))


def test_a_line_break_in_a_name_makes_no_second_line(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\\nand gone\.mp4: no such file"):
        stream_video(tmp_path / "gone\nand gone.mp4")


@pytest.mark.parametrize("name", ["titled.mp4", "titled.mkv", "titled.avi"])
def test_a_title_in_another_encoding_is_no_reason_to_refuse(
    write_video: Write, tmp_path: Path, name: str
) -> None:
    path = write_video(tmp_path / name, 8, codec_options={"bf": "0"}, title="Grusse")
    expected = list(stream_video(path, fps=None))
    data = path.read_bytes()
    assert b"Grusse" in data
    path.write_bytes(data.replace(b"Grusse", "Gr\xfc\xdfe ".encode("latin-1")))
    assert_same(list(stream_video(path, fps=None)), expected)


# What a file says of its length


@pytest.mark.parametrize(
    "tag",
    ["99:00:00.000000000", "00:00:00.100000000", "00:00:inf", "00:00:nan", "-1:00:00", "rubbish"],
)
def test_a_wrong_duration_tag_is_not_believed(library: Library, tmp_path: Path, tag: str) -> None:
    whole = library("irregular.mkv")
    path, data = tmp_path / "tagged.mkv", whole.read_bytes()
    place = data.index(b"00:00:", data.index(b"DURATION"))
    path.write_bytes(data[:place] + tag.encode().ljust(18, b"\0") + data[place + 18 :])
    assert probe_video(path).duration == pytest.approx(probe_video(whole).duration, abs=0.5)
    frames = [time for _, time in stream_video(path, fps=2)]
    assert frames == pytest.approx([time for _, time in stream_video(whole, fps=2)])


def test_a_duration_tag_shorter_than_the_sound_is_believed(
    write_video: Write, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "sounding.mkv", 40, sound=5)
    with av.open(path) as container:
        assert (container.duration or 0) / 1e6 > 4.5
    assert probe_video(path).duration == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_an_avi_cut_between_two_pictures_is_no_shorter_video(
    write_video: Write, tmp_path: Path, codec: str
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = write_video(
        tmp_path / "whole.avi", 60, codec=codec, codec_options={"bf": "0"}, pixels=pixels
    )
    full = list(stream_video(whole, fps=None))
    packets = packets_of(whole)
    path = tmp_path / "third.avi"
    end = (packets[20].pos or 0) - 8  # where the chunk of the next picture begins
    path.write_bytes(whole.read_bytes()[:end])
    taken, error = until_error(path)
    assert 19 <= len(taken) <= 20
    assert_same(taken, full[: len(taken)])
    assert "the data are cut off or damaged" in str(error)
    assert probe_video(path).duration == probe_video(whole).duration
    taken, error = until_error(path, fps=2)
    assert "cut off" in str(error)
    assert len(taken) == 2


def test_an_avi_that_lost_its_index_alone_is_whole(library: Library, tmp_path: Path) -> None:
    whole = library("plain.avi")
    path = tmp_path / "no_index.avi"
    path.write_bytes(whole.read_bytes()[: end_of_movi(FileSource(whole))])
    assert path.stat().st_size < whole.stat().st_size
    assert_same(list(stream_video(path, fps=None)), list(stream_video(whole, fps=None)))


@pytest.mark.parametrize(
    ("data", "promised"),
    [
        (b"RIFF\x30\0\0\0AVI LIST\x08\0\0\0movixxxx", 28),
        (b"RIFF\x30\0\0\0AVI LIST\x07\0\0\0movixxx", 28),  # odd sizes are padded
        (b"RIFF\x30\0\0\0AVI LIST\x08\0\0\0hdrlxxxxLIST\xff\0\0\0movixxxx", 292),
        (b"RIFF\x30\0\0\0AVI LIST\0\0\0\0movixxxx", 0),  # still being written
        (b"RIFF\x30\0\0\0AVI LIST\xff\xff\xff\xffmovixxxx", 0),
        (b"RIFF", 0),
    ],
)
def test_promised_bytes_of_an_avi(tmp_path: Path, data: bytes, promised: int) -> None:
    path = tmp_path / "chunks.avi"
    path.write_bytes(data)
    assert end_of_movi(FileSource(path)) == promised


@pytest.mark.parametrize("name", ["irregular.mkv", "vp9.webm"])
def test_a_matroska_cut_shortly_before_its_end_is_no_shorter_video(
    library: Library, tmp_path: Path, name: str
) -> None:
    whole = library(name)
    packets = packets_of(whole)
    path = tmp_path / name
    path.write_bytes(whole.read_bytes()[: packets[-3].pos])
    taken, error = until_error(path)
    assert FRAMES - 5 <= len(taken) <= FRAMES - 3
    assert_same(taken, list(stream_video(whole, fps=None))[: len(taken)])
    assert "the data are cut off or damaged" in str(error)


@pytest.mark.parametrize("name", ["irregular.mkv", "vp9.webm"])
def test_a_matroska_that_lost_its_index_alone_is_whole(
    library: Library, tmp_path: Path, name: str
) -> None:
    whole = library(name)
    path, data = tmp_path / name, whole.read_bytes()
    path.write_bytes(data[: data.rindex(b"\x1cS\xbbk") + 9])  # its Cues begin there
    assert_same(list(stream_video(path, fps=None)), list(stream_video(whole, fps=None)))
    assert end_of_clusters(FileSource(path)) < path.stat().st_size
    assert end_of_clusters(FileSource(whole)) == len(data)


SEGMENT, CLUSTER, CUES = b"\x18S\x80g", b"\x1fC\xb6u", b"\x1cS\xbbk"


@pytest.mark.parametrize(
    ("data", "promised"),
    [
        (b"\x1aE\xdf\xa3\x81x" + SEGMENT + b"\x87" + CLUSTER + b"\x82xx", 18),
        (SEGMENT + b"\x8e" + CLUSTER + b"\x82xx" + CUES + b"\x82x", 12),
        (SEGMENT + b"\x8e" + CLUSTER + b"\x82xx" + CLUSTER + b"\x82x", 19),
        (SEGMENT + b"\x8e" + CLUSTER + b"\x82xx", 19),
        (SEGMENT + b"\x8e" + CLUSTER + b"\xffxx", 19),  # a cluster that tells no length
        (SEGMENT + b"\x01" + b"\xff" * 7 + CLUSTER + b"\x82xx", 0),  # still being recorded
        (b"\0" * 30, 0),
        (b"", 0),
    ],
)
def test_promised_bytes_of_a_matroska(tmp_path: Path, data: bytes, promised: int) -> None:
    path = tmp_path / "elements.mkv"
    path.write_bytes(data)
    assert end_of_clusters(FileSource(path)) == promised


def test_times_that_fall_back_are_damage(library: Library, tmp_path: Path) -> None:
    whole = library("plain.mp4")
    data = bytearray(whole.read_bytes())
    entries = data.index(b"ctts") + 12
    for entry in range(60, 70):
        data[entries + 8 * entry + 4 : entries + 8 * entry + 8] = bytes(4)
    path = tmp_path / "composition.mp4"
    path.write_bytes(data)
    taken, error = until_error(path)
    assert "the times of the frames fall back" in str(error)
    times = [time for _, time in taken]
    assert times == sorted(times)
    assert 30 < len(taken) < 100


def test_the_guessed_times_of_an_avi_never_fall(write_video: Write, tmp_path: Path) -> None:
    path = write_video(tmp_path / "guessed.avi", 60, key_every=10, codec_options={"bf": "2"})
    times = [time for _, time in stream_video(path, fps=None)]
    assert len(times) == 60
    assert times == sorted(times)


# Frames that FFmpeg flags as damaged


@pytest.fixture
def flagged(library: Library, tmp_path: Path) -> Path:
    """Frame 100 is damaged; the next key frame is number 120."""
    whole = library("one_flag.avi")
    packets = packets_of(whole)
    return damaged(whole, packets[100], tmp_path / "flagged.avi")


def damaged(whole: Path, packet: av.Packet, path: Path) -> Path:
    """A copy with four bytes changed in the middle of one picture."""
    data, middle = bytearray(whole.read_bytes()), (packet.pos or 0) + 8 + packet.size // 2
    data[middle : middle + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    return path


def test_a_flagged_frame_is_shown_and_counted(library: Library, flagged: Path) -> None:
    full = list(stream_video(library("one_flag.avi"), fps=None))
    stream = stream_video(flagged, fps=None)
    assert stream.flagged == 0
    taken = []
    for number, sample in enumerate(stream):
        assert stream.flagged == (number >= 100)
        taken.append(sample)
    assert len(taken) == FRAMES
    assert_same(taken[:100] + taken[120:], full[:100] + full[120:])
    assert not torch.equal(taken[100][0], full[100][0])


def test_strict_stops_at_a_flagged_frame(library: Library, flagged: Path) -> None:
    full = list(stream_video(library("one_flag.avi"), fps=None))
    taken: list[Sample] = []
    told = r"flagged.avi: FFmpeg flags a frame as damaged \(strict stops there\) 5.00 s after the "
    with pytest.raises(VideoError, match=told + r"first frame; .*all good: 100\. Copy or"):
        taken.extend(stream_video(flagged, fps=None, strict=True))
    assert_same(taken, full[: len(taken)])
    wanted = [0.0, 2.0, 4.9, 5.0]
    stream = frames_at(flagged, wanted, strict=True)
    assert [time for _, time in (next(stream), next(stream), next(stream))] == wanted[:3]
    with pytest.raises(VideoError, match="strict stops there"):
        next(stream)


def test_what_was_not_decoded_is_not_counted(flagged: Path) -> None:
    samples = frames_at(flagged, [0.0, 7.5])  # a seek leads past the damage
    assert len(list(samples)) == 2
    assert samples.flagged == 0
    samples = frames_at(flagged, [0.0, 4.9, 7.5], strict=True)
    assert len(list(samples)) == 3


def test_flagged_frames_before_the_first_good_one_are_skipped_and_counted(
    library: Library, tmp_path: Path
) -> None:
    whole = library("one_flag.avi")
    path = damaged(whole, packets_of(whole)[0], tmp_path / "headless.avi")
    stream = stream_video(path, fps=None)
    assert len(list(stream)) == FRAMES - 1
    assert stream.flagged == 1
    with pytest.raises(VideoError, match=r"FFmpeg flags a frame as damaged .*, the first one"):
        list(stream_video(path, fps=None, strict=True))


# Logging


LOGGING = """
import logging, sys
import av
import av.error
av.logging.set_level(av.logging.VERBOSE)
logging.basicConfig(level=logging.DEBUG, stream=open(sys.argv[2], "w"))
from crossframe.framework.video import stream_video
for _ in range(10):
    try:
        print(len(list(stream_video(sys.argv[1], fps=None))))
    except ValueError as error:
        print(error)
"""


@pytest.mark.timeout(120)
def test_logging_of_ffmpeg_is_no_deadlock(library: Library, tmp_path: Path) -> None:
    """Threads that decode a damaged picture have much to say."""
    path, data = tmp_path / "talkative.mp4", bytearray(library("plain.mp4").read_bytes())
    for place in range(data.index(b"mdat") + 3000, len(data), 900):
        data[place] ^= 255
    path.write_bytes(data)
    command = [sys.executable, "-c", LOGGING, str(path), str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert len(set(done.stdout.splitlines())) == 1
    assert len(done.stdout.splitlines()) == 10


def test_pictures_that_no_decoder_knows(library: Library, tmp_path: Path) -> None:
    """With PyAV 15, decoding them would end the process."""
    path = tmp_path / "unknown.mp4"
    path.write_bytes(library("plain.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoError, match=r"unknown.mp4: its pictures are in a format that FFmpeg"):
        stream_video(path)


def test_memory_that_ffmpeg_cannot_get_is_told(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of a damaged size, for instance, when it is made RGB."""

    def too_large(frame: av.VideoFrame) -> torch.Tensor:
        if (frame.pts or 0) < 10:
            return torch.zeros(32, 48, 3, dtype=torch.uint8)
        raise av.error.MemoryError(12, "Cannot allocate memory", str(frame))

    monkeypatch.setattr(video, "_pixels", too_large)
    stream = stream_video(library("one_flag.avi"), fps=None)
    assert len([next(stream) for _ in range(9)]) == 9
    told = r"one_flag.avi: FFmpeg cannot read on \(Cannot allocate memory\); copy or download the"
    with pytest.raises(VideoError, match=told):
        list(stream)
