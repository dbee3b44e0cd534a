"""What tests of videos share: every frame by a plain full decode, and streams up to an error."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from crossframe.framework.video import VideoError, stream_video

Sample = tuple[torch.Tensor, float]
Library = Callable[[str], Path]

FRAMES = 160  # of each video in the library, at 20 a second where they are regular
VIDEOS = [
    "plain.mp4", "one_key.mp4", "open_gop.mp4", "fragments.mp4", "irregular.mp4",
    "irregular.mkv", "late_start.mkv", "plain.ts", "plain.avi", "vp9.webm", "live.webm",
]  # fmt: skip


@cache
def decoded(path: Path) -> list[Sample]:
    """Every frame of a file and its seconds after the first."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    start, tick = frames[0].pts, frames[0].time_base
    assert start is not None
    assert tick is not None
    return [
        (torch.from_numpy(frame.to_ndarray(format="rgb24")), float((frame.pts - start) * tick))
        for frame in frames
        if frame.pts is not None
    ]


def packets_of(path: Path) -> list[av.Packet]:
    with av.open(path) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def until_error(path: Path, **options: Any) -> tuple[list[Sample], VideoError | None]:
    """All samples that come before the error, if one comes."""
    taken: list[Sample] = []
    try:
        for sample in stream_video(path, **{"fps": None, **options}):
            taken.append(sample)
    except VideoError as error:
        return taken, error
    return taken, None


def assert_same(samples: list[Sample], expected: list[Sample], within: float = 0.0) -> None:
    """The same pictures, at times not further apart than `within` seconds."""
    times = [time for _, time in expected]
    assert [time for _, time in samples] == pytest.approx(times, abs=within, rel=0)
    assert all(
        torch.equal(one, other) for (one, _), (other, _) in zip(samples, expected, strict=True)
    )


def times_open(path: Path) -> int:
    """How often this process holds a file open, as Linux tells."""
    return [str(link.resolve()) for link in Path("/proc/self/fd").iterdir()].count(str(path))


tells_open_files = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="counts open files as Linux does"
)
