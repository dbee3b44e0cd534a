"""Real video files, encoded once a run: `write_video` makes one, `library` keeps the kinds."""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

FRAMES, FPS = 160, 20
FASTSTART = {"movflags": "faststart"}


def write(
    path: Path,
    frames: int = FRAMES,
    *,
    fps: int = FPS,
    ticks: Iterable[int] | None = None,
    size: tuple[int, int] = (48, 32),
    key_every: int = 40,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rotation: int = 0,
    title: str = "",
    sound: int = 0,
    codec_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode frames of moving noise; `ticks` are their presentation times in units of 1/fps,
    `sound` seconds of silence."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    options = {"g": str(key_every), "bf": "2", "preset": "ultrafast", **(codec_options or {})}
    with av.open(path, "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        if title:
            container.metadata["title"] = title
        silence = container.add_stream("pcm_s16le", rate=8000) if sound else None
        for step, tick in enumerate(range(frames) if ticks is None else ticks):
            picture = np.roll(noise, step, axis=1) // 2 + np.uint8(step % 2 * 64)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if isinstance(silence, av.AudioStream):
            container.mux(list(_silence(silence, sound)))
    if rotation:
        turn(path, rotation)
    return path


def _silence(stream: av.AudioStream, seconds: int) -> Iterable[av.Packet]:
    for second in range(seconds):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.rate, frame.pts = 8000, 8000 * second
        yield from stream.encode(frame)
    yield from stream.encode()


def turn(path: Path, degrees: int) -> None:
    """Write a rotation into an mp4's track header, which PyAV below 17.1 cannot."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    cos, sin = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    for place, value in zip((0, 1, 3, 4), (cos, -sin, sin, cos), strict=True):
        begin = matrix + 4 * place
        data[begin : begin + 4] = (value * 0x10000).to_bytes(4, signed=True)
    path.write_bytes(data)


def irregular_ticks() -> list[int]:
    """Frames 1 to 400 ms apart, in milliseconds."""
    gaps = np.random.default_rng(1).choice([1, 10, 33, 40, 400], FRAMES)
    return np.cumsum(gaps).tolist()


# No HEVC: PyAV's x265 encoder now and then aborts the process while writing such a file.
RECIPES: dict[str, dict[str, Any]] = {
    "plain.mp4": {"container_options": FASTSTART},
    "one_key.mp4": {"key_every": 999, "container_options": FASTSTART},
    "open_gop.mp4": {"codec_options": {"x264-params": "open-gop=1", "preset": "medium"}},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "irregular.mp4": {"ticks": irregular_ticks(), "fps": 1000, "container_options": FASTSTART},
    "irregular.mkv": {"ticks": irregular_ticks(), "fps": 1000},
    "late_start.mkv": {"ticks": range(77, 77 + FRAMES)},
    "plain.ts": {},
    "plain.avi": {"codec_options": {"bf": "0"}},
    "one_flag.avi": {"codec": "mpeg4", "codec_options": {"bf": "0"}},
    "vp9.webm": {"codec": "libvpx-vp9", "codec_options": {"deadline": "realtime"}},
    "live.webm": {"codec": "libvpx", "container_options": {"live": "1"}},  # tells no duration
}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder, written = tmp_path_factory.mktemp("videos"), dict[str, Path]()

    def get(name: str) -> Path:
        if name not in written:
            written[name] = write(folder / name, **RECIPES[name])
        return written[name]

    return get


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    return write
