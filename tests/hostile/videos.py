"""Video files, damaged and odd: true frames, or one line; never a shorter video without a word."""

import struct
from collections.abc import Callable, Iterator
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import torch

from crossframe.framework.video import VideoError, frames_at, playhead, stream_video
from crossframe.framework.video.key_frames import SoughtKeyFrames
from crossframe.framework.video.source import Source

from .cases import Case, Family

FRAMES, FPS, KEY_EVERY = 24, 12, 6
REMEDIES = ("copy", "Copy", "give", "re-encode", "put it into", "check the path", "times must be")

Samples = list[tuple[torch.Tensor, float]]

KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "h264.mp4": ("libx264", {"bf": "2", "preset": "ultrafast"}),
    "mpeg4.mp4": ("mpeg4", {}),
    "h264.mkv": ("libx264", {"bf": "2", "preset": "ultrafast"}),
    "vp8.webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": ("mpeg4", {}),
    "h264.avi": ("libx264", {"bf": "0", "preset": "ultrafast"}),
    "h264.ts": ("libx264", {"bf": "2", "preset": "ultrafast"}),
    "plain.gif": ("gif", {}),
}
# These do not tell how much of them there should be.
ENDLESS = ("h264.ts", "plain.gif")


@dataclass(frozen=True)
class Base:
    """A good file: its bytes, its frames, and where the data of each packet begins and ends."""

    data: bytes
    frames: Samples
    packets: list[tuple[int, int]]


@cache
def base(kind: str) -> Base:
    with TemporaryDirectory() as folder:
        path = Path(folder, kind)
        _write(path, *KINDS[kind])
        with av.open(path) as container:
            packets = [
                (packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size
            ]
        frames = list(stream_video(path, fps=None))
        assert len(frames) == FRAMES
        return Base(path.read_bytes(), frames, packets)


def _write(path: Path, codec: str, options: dict[str, str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    kept = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    metadata = {"title": "Tetlaa " * 3}
    with av.open(path, "w", options=kept) as container:
        container.metadata.update(metadata)
        stream: Any = container.add_stream(
            codec, rate=FPS, options={"g": str(KEY_EVERY), **options}
        )
        stream.width, stream.height = 48, 32
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for step in range(FRAMES):
            picture = np.roll(noise, step, axis=1) // 2 + np.uint8(step % 2 * 64)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = step, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# What every reading must hold


@dataclass(frozen=True)
class Reading:
    """How a file is read: with which index, strictly or not, which frames of it."""

    strict: bool
    sought: bool
    options: dict[str, Any]

    @classmethod
    def drawn(cls, random: Random) -> "Reading":
        options = [{"fps": None}, {"fps": None}, {"fps": 3.0}, {"fps": None, "max_frames": 5}]
        return cls(random.random() < 0.4, random.random() < 0.4, random.choice(options))

    def of(self, path: Path, check: Callable[[Samples], None]) -> tuple[Samples, int]:
        """All samples, looked at whether damage ends them or not, and the number flagged."""
        samples: Samples = []
        sought = patch.object(playhead, "key_frames_of", _sought)
        with sought if self.sought else nullcontext():
            try:
                stream = stream_video(
                    path, **{"max_frames": 4 * FRAMES, **self.options}, strict=self.strict
                )
                for sample in stream:
                    samples.append(sample)
            except VideoError as error:
                _is_sound(samples)
                check(samples)
                assert any(remedy in str(error) for remedy in REMEDIES), f"no remedy: {error}"
                raise
        _is_sound(samples)
        check(samples)
        assert not (self.strict and stream.flagged), "strict let flagged frames pass"
        return samples, stream.flagged


def _sought(container: Any, stream: Any, source: Source) -> SoughtKeyFrames:
    """As PyAV below 17.1 makes it necessary."""
    del stream
    return SoughtKeyFrames(source, container.format.name)


def _is_sound(samples: Any) -> None:
    for image, seconds in samples:
        assert image.dtype == torch.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert np.isfinite(seconds)
    assert all(before <= after for (_, before), (_, after) in pairwise(samples)), "times fall"


def _nothing_told(samples: Samples) -> None:
    del samples


def _are_true(kind: str, samples: Samples, good: Callable[[int], bool]) -> None:
    """Samples that show one of the good frames' times show that frame."""
    whole = base(kind).frames
    places = {round(seconds, 3): place for place, (_, seconds) in enumerate(whole)}
    for image, seconds in samples:
        place = places.get(round(seconds, 3))
        assert place is not None, f"a frame at {seconds} s that the whole file has not"
        if good(place):
            assert torch.equal(image, whole[place][0]), f"frame {place} differs"


# Families


def changed_pictures(random: Random, folder: Path) -> Case:
    """Bytes changed inside one packet: key frames before it and after it are not touched."""
    kind = random.choice([kind for kind in KINDS if kind not in ENDLESS])
    reading, data = Reading.drawn(random), bytearray(base(kind).data)
    number = random.randrange(KEY_EVERY, FRAMES)
    begin, size = base(kind).packets[number]
    for _ in range(random.choice((1, 1, 1, 3, size // 2 + 1))):
        data[begin + random.randrange(8, max(size, 9))] ^= random.randrange(1, 256)
    path = folder / kind
    path.write_bytes(data)
    first = number // KEY_EVERY * KEY_EVERY

    def check(samples: Samples) -> None:
        _are_true(kind, samples, lambda place: place < first)

    return Case(
        f"packet {number} of {kind} changed, {reading}",
        act=lambda: reading.of(path, check),
        right=lambda _: None,
        names=(str(path),),
        errors=(VideoError,),
    )


def cut_off(random: Random, folder: Path) -> Case:
    """The first so many bytes: the frames that are there, and a word that there were more."""
    kind = random.choice(list(KINDS))
    reading, data = Reading.drawn(random), base(kind).data
    lengths = [random.randrange(len(data)), random.choice(_boundaries(kind))]
    path, length = folder / kind, random.choice(lengths)
    path.write_bytes(data[:length])
    whole = sum(begin + size <= length for begin, size in base(kind).packets)
    told = kind not in ENDLESS  # there the last frame may be cut in two

    def right(found: object) -> None:
        samples, _ = found if isinstance(found, tuple) else ([], 0)
        if reading.options == {"fps": None} and told:
            assert len(samples) == FRAMES, f"{len(samples)} of {FRAMES} frames, without a word"

    return Case(
        f"the first {length} of {len(data)} bytes of {kind}, {reading}",
        act=lambda: reading.of(
            path, lambda samples: _are_true(kind, samples, lambda at: told or at < whole - 3)
        ),
        right=right,
        names=(str(path),),
        errors=(VideoError,),
    )


def _boundaries(kind: str) -> list[int]:
    return [end for begin, size in base(kind).packets for end in (begin, begin + size)]


def changed_headers(random: Random, folder: Path) -> Case:
    """Bytes changed outside the pictures: whatever they say, no more than a refusal."""
    kind = random.choice(list(KINDS))
    reading, data = Reading.drawn(random), bytearray(base(kind).data)
    places = random.choice([_places_of_boxes, _places_outside])(random, kind, len(data))
    for place, value in places:
        data[place : place + len(value)] = value
    path = folder / kind
    path.write_bytes(data)
    return Case(
        f"{kind} with {places}, {reading}",
        act=lambda: reading.of(path, _nothing_told),
        right=lambda _: None,
        names=(str(path),),
        errors=(VideoError,),
    )


def _places_outside(random: Random, kind: str, length: int) -> list[tuple[int, bytes]]:
    held = {place for begin, size in base(kind).packets for place in range(begin, begin + size)}
    outside = [place for place in range(length) if place not in held] or list(range(length))
    chosen = random.sample(outside, random.choice((1, 1, 2, 5)))
    return [(place, random.randbytes(1)) for place in chosen]


BOXES = (
    *(b"stsz", b"stts", b"ctts", b"stco", b"stsc", b"stss", b"stsd", b"avcC", b"mdhd", b"mvhd"),
    *(b"tkhd", b"elst", b"strh", b"strf", b"avih", b"movi", b"idx1", b"moov", b"trak", b"mdat"),
)
NUMBERS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x00FFFFFF, 65536)


def _places_of_boxes(random: Random, kind: str, length: int) -> list[tuple[int, bytes]]:
    """A field of a box of an mp4 or AVI becomes an extreme number."""
    found = [place for name in BOXES for place in _occurrences(base(kind).data, name)]
    if not found:
        return _places_outside(random, kind, length)
    place = random.choice(found) + 4 * random.choice((-1, 1, 2, 3, 4, 5, 8))
    order = "<I" if kind.endswith("avi") else ">I"
    return [(max(place, 0), struct.pack(order, random.choice(NUMBERS)))]


def _occurrences(data: bytes, name: bytes) -> Iterator[int]:
    place = data.find(name)
    while place >= 0:
        yield place
        place = data.find(name, place + 1)


NAMES = (
    *(
        "a:b",
        "file:x",
        "http:x",
        "concat:a|b",
        "data:,x",
        "pipe:0",
        "async:x",
        "crypto:x",
        "cache:x",
    ),
    *(
        "%d",
        "x%03d",
        "x%d%d%%",
        "%s%n",
        "-i",
        "*",
        "?",
        "[1]",
        "{0..9}",
        "$HOME",
        "~",
        "\\x",
        "'",
        '"',
    ),
    *("two  spaces", " ", "\N{SNOWMAN}", "line\nbreak", "tab\tstop", "\udcff\udce4", ".hidden"),
    *("a.m3u8", "a.txt", "#EXTM3U", "CON", "a" * 200, "subfile,,start,1,end,9,,:x"),
)


def odd_name(random: Random, folder: Path) -> Case:
    """A file whatever it is called, named in full or from the folder it lies in."""
    kind = random.choice([kind for kind in KINDS if kind != "h264.avi"])
    name = f"{random.choice(NAMES)}{random.choice(('', random.choice(NAMES)[:20]))}.{kind[-3:]}"
    path, data = folder / name, base(kind).data
    good = random.random() < 0.8
    path.write_bytes(data if good else data[: len(data) // 8])
    called = Path(name) if random.random() < 0.5 else path

    def act() -> Samples:
        with chdir(folder):
            return [*stream_video(called, fps=None)]

    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in called.name)
    return Case(
        f"a {'good' if good else 'cut'} file called {name!r}",
        act,
        right=lambda found: _equal(found, base(kind).frames) if good else _is_sound(found),
        names=() if good else (shown,),
        errors=(VideoError,),
    )


def _equal(found: Any, expected: Samples) -> None:
    assert [seconds for _, seconds in found] == [seconds for _, seconds in expected]
    for (image, _), (other, _) in zip(found, expected, strict=True):
        assert torch.equal(image, other)


TAGS = (
    "99:00:00.000000000", "00:00:00.100000000", "00:00:inf", "00:00:nan", "-1:00:00", "00:00:1e400",
    "99999999999:00:01", "rubbish", "00:00:-9", "::", "00:00:00", "1:2:3:4", "00:59:60.5", "",
)  # fmt: skip


def odd_metadata(random: Random, folder: Path) -> Case:
    """A good file with a title in no known encoding, or a tag that tells a wrong duration."""
    kind = random.choice(("h264.mp4", "h264.mkv", "h264.mkv", "vp8.webm", "mpeg4.avi"))
    data = base(kind).data
    tag = random.choice(TAGS)
    title = bytes(random.choice((0xE4, 0xFF, 0xC0, 0x81, 0x20, 0x41)) for _ in range(21))
    if random.random() < 0.6:
        data = data.replace(b"Tetlaa " * 3, title)
    if random.random() < 0.7:
        data = data.replace(b"00:00:02.000000000", tag.encode().ljust(18, b"\0"))
    path = folder / kind
    path.write_bytes(data)

    expected = [base(kind).frames[place] for place in range(0, FRAMES, FPS // 2)]
    return Case(
        f"{kind} with title {title!r} and duration {tag!r}",
        act=lambda: [*stream_video(path, fps=2.0)],
        right=lambda found: _equal(found, expected),
    )


MOMENTS: tuple[Any, ...] = (
    *(None, "1", b"1", True, 1j, [0.5], object, float("nan"), float("inf"), -float("inf"), -0.5),
    *(1e300, 10**400, np.float32(0.5), Fraction(1, 3), torch.tensor(0.5)),
)


def odd_request(random: Random, folder: Path) -> Case:
    """Moments and settings that are no numbers, or none that a video has."""
    kind = random.choice(("h264.mp4", "vp8.webm"))
    path = folder / kind
    path.write_bytes(base(kind).data)
    if random.random() < 0.5:
        moments = [0.0, random.choice(MOMENTS), random.choice((1.5, random.choice(MOMENTS)))]
        return Case(
            f"frames at {str(moments)[:80]}",
            act=lambda: [*frames_at(path, moments)],
            right=_is_sound,
            names=(str(path), "rise from 0"),
            errors=(VideoError,),
        )
    name = random.choice(("fps", "max_frames", "sampling"))
    value = random.choice((*MOMENTS, 0, -1, "centre", {}))
    options: dict[str, Any] = {"max_frames": 30, name: value}
    return Case(
        str(options)[:80],
        act=lambda: [*stream_video(path, **options)],
        right=_is_sound,
        names=(str(path), name, "give"),
        errors=(VideoError,),
    )


FAMILIES = (
    Family("changed pictures", changed_pictures, 60),
    Family("videos cut off", cut_off, 60),
    Family("changed headers", changed_headers, 60),
    Family("odd file names", odd_name, 40),
    Family("odd metadata", odd_metadata, 30),
    Family("odd requests", odd_request, 30),
)
