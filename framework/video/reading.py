"""Video files as streams of frames: sampled in time, one frame at a time, never held as a whole."""

import math
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .file import VideoError, declared_duration, ffmpeg_errors_told, measure, open_video
from .playhead import TOLERANCE, DamageError, Playhead

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["VideoError", "VideoInfo", "VideoSamples", "frames_at", "probe_video", "stream_video"]

Sample = tuple[Tensor, float]


@dataclass(frozen=True)
class VideoInfo:
    """What a file tells about its video stream.

    `duration` in seconds; `fps` on average; `width` and `height` in pixels, as the frames are
    yielded (rotation applied); `num_frames` is None where the container does not tell.
    """

    path: Path
    duration: float
    fps: float
    width: int
    height: int
    num_frames: int | None


def probe_video(path: str | PathLike[str]) -> VideoInfo:
    """Read the header and the first frame of a file; raise `VideoError` if it has none to show.

    A file which does not tell its duration is read through once, without decoding, to measure it.
    """
    path = Path(path)
    with (
        ffmpeg_errors_told(path),
        open_video(path) as container,
        closing(Playhead(container, path)) as head,
    ):
        height, width = _pixels(head.shown).shape[:2]
        rate = head.stream.average_rate or head.stream.guessed_rate
        duration = declared_duration(container, head.stream, path)
        frames = head.stream.frames or None
    if duration is None:
        duration, frames = measure(path)
    fps = float(rate) if rate else (frames or 1) / duration
    return VideoInfo(path, duration, fps, width, height, frames)


def stream_video(
    path: str | PathLike[str],
    *,
    fps: float | None = 1.0,
    max_frames: int | None = None,
    sampling: Literal["auto", "centres"] = "auto",
    strict: bool = False,
) -> "VideoSamples":
    """Yield frames in order, each uint8 [height, width, 3] RGB, with its time in seconds.

    The time is the frame's presentation time minus that of the first frame. A sample at time t
    is the frame on display then: the last one with time <= t (or up to 1 ms after t, because
    containers round); the last frame stays on display until the end. A frame on display at
    several sample times is yielded for each of them, every time with its own true time.

    - `sampling="auto"`: samples at t = 0, 1/fps, 2/fps, ... < duration (`fps=None`: every frame
      once). Should these be more than `max_frames`, it is "centres" instead.
    - `sampling="centres"`: n = min(max(1, int(duration * fps)), max_frames) samples (`fps=None`:
      n = min(number of frames, max_frames)) at t = (i + 0.5) * duration / n, i = 0 ... n - 1.
      With fps=1, max_frames=512 this is the sampling of the StateKV paper.

    `duration` is that of `probe_video`. Arguments and file are checked at the call. `VideoError`
    is raised there, or, for damage further inside, after the last good sample, so that what was
    taken before stays usable; it says how many frames and seconds were good.

    FFmpeg conceals what it can of damaged frames and flags them. Such frames are yielded, and
    counted in `flagged` of what is returned; those that lean on one may be wrong without a flag.
    With `strict` the first flagged frame is damage. Flags are no checksum: many a changed byte
    gives a different picture and no flag.

    Where cheaper the decoder seeks, and yields the same frames. Rotation is applied in steps of 90
    degrees. Frames whose size changes inside a video are yielded as they are. The file is closed
    when the generator ends, is closed or is collected.
    """
    _check_options(path, fps, max_frames, sampling)
    info = probe_video(path)
    times = _sample_times(info, fps, max_frames, sampling)
    return VideoSamples(info.path, times, max_frames, strict=strict)


def frames_at(
    path: str | PathLike[str], seconds: Iterable[float], *, strict: bool = False
) -> "VideoSamples":
    """Yield the frame on display at each of the given times; otherwise as `stream_video`. A time
    behind the end shows the last frame.

    Args:
        seconds: after the first frame; they may repeat but not fall.
        strict: take a frame that FFmpeg flags for damage, as `stream_video` does.

    Raises:
        VideoError: at the call for a negative, falling or infinite time; when frames are taken, for
            a file that cannot be opened or is damaged.
    """
    times = list(seconds)
    numbers = [float(time) for time in times if _is_finite(time)]
    rising = all(before <= time for before, time in pairwise([0.0, *numbers]))
    if not rising or len(numbers) < len(times):
        raise VideoError(
            f"{path}: times must be numbers that rise from 0, got {str(times[:8])[:200]}"
        )
    return VideoSamples(Path(path), iter(numbers), None, strict=strict)


class VideoSamples(Generator[Sample, None, None]):
    """A generator of frames and their times that knows how many FFmpeg flagged as damaged."""

    def __init__(
        self, path: Path, times: Iterator[float] | None, max_frames: int | None, *, strict: bool
    ) -> None:
        self._flags = _Flags()
        self._frames = _samples(path, times, max_frames, strict, self._flags)

    @property
    def flagged(self) -> int:
        """Frames flagged so far, of all that had to be decoded for those that were taken."""
        return self._flags.count

    def send(self, value: None, /) -> Sample:
        return self._frames.send(value)

    def throw(self, *error: Any) -> Sample:
        return self._frames.throw(*error)


@dataclass
class _Flags:
    """Apart from who counts and who reads, so that none keeps the other and the file is closed."""

    count: int = 0


def _check_options(path: object, fps: object, max_frames: object, sampling: object) -> None:
    # bool is a kind of int, and True frames per second is surely a slip
    number = _is_finite(fps) and not isinstance(fps, bool)
    if fps is not None and not (number and float(fps) > 0):  # type: ignore[arg-type]
        raise VideoError(f"{path}: fps is {fps!r}; give a number > 0, or None for every frame")
    count = isinstance(max_frames, int) and not isinstance(max_frames, bool) and max_frames >= 1
    if max_frames is not None and not count:
        raise VideoError(f"{path}: max_frames is {max_frames!r}; give an integer >= 1, or None")
    if sampling not in ("auto", "centres"):
        raise VideoError(f"{path}: sampling is {sampling!r}; give 'auto' or 'centres'")


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _sample_times(
    info: VideoInfo, fps: float | None, max_frames: int | None, sampling: str
) -> Iterator[float] | None:
    """Seconds after the first frame, ascending; None = every frame."""
    if fps is not None:
        grid = max(1, math.ceil((info.duration - TOLERANCE) * fps))
        count = max(1, int(info.duration * fps))
    elif max_frames is not None or sampling == "centres":
        grid = count = info.num_frames or measure(info.path)[1]
    else:
        return None
    if sampling == "auto" and (max_frames is None or grid <= max_frames):
        return None if fps is None else (step / fps for step in range(grid))
    count = min(count, max_frames or count)
    return ((step + 0.5) * info.duration / count for step in range(count))


def _samples(
    path: Path, times: Iterator[float] | None, max_frames: int | None, strict: bool, flags: _Flags
) -> Generator[Sample, None, None]:
    yielded = 0
    try:
        with (
            ffmpeg_errors_told(path),
            open_video(path) as container,
            closing(Playhead(container, path, strict=strict)) as head,
        ):
            # The count of a container is a claim, max_frames a promise: hence the islice.
            frames = head.remaining() if times is None else map(head.show, times)
            for frame in islice(frames, max_frames and min(max_frames, sys.maxsize)):
                flags.count = head.flagged
                yield _pixels(frame), head.seconds(frame)
                yielded += 1
    except DamageError as damage:
        good = f"{flags.count} of them flagged by FFmpeg" if flags.count else "all good"
        raise VideoError(
            f"{path}: {damage}; frames yielded before that, {good}: {yielded}. "
            "Copy or download the file anew, or re-encode what is left of it with ffmpeg"
        ) from damage


def _pixels(frame: "VideoFrame") -> Tensor:
    """[height, width, 3] uint8 RGB in memory of its own, turned the way a player shows it."""
    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
    quarters = round(frame.rotation / 90) % 4
    return torch.rot90(pixels, quarters, (0, 1)).contiguous() if quarters else pixels
