"""Videos as streams of frames: sampled in time, one frame at a time, never held as a whole."""

import math
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .file import declared_duration, ffmpeg_errors_told, measure, open_video
from .pictures import GivenFrames, ImageFolder, is_folder
from .playhead import DamageError, Playhead
from .source import FileSource, Readable, Source, VideoError, source_of
from .times import Sampling, is_finite

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["VideoError", "VideoInfo", "VideoSamples", "frames_at", "probe_video", "stream_video"]

Sample = tuple[Any, float]
# The frames of an open video that are taken.
Shown = Callable[[Playhead], "Iterator[VideoFrame]"]
# A file by its path, a folder of images, an address, a file in memory, or frames one by one.
VideoSource = str | PathLike[str] | Readable | Iterable[Any]


@dataclass(frozen=True)
class VideoInfo:
    """What a file tells about its video stream.

    `path` of a file or folder, the address, or a name for what is in memory; `duration` in seconds,
    inf of a live stream; `fps` on average; `width` and `height` in pixels, as the frames are
    yielded (rotation applied); `num_frames` is None where the container does not tell.
    """

    path: Path | str
    duration: float
    fps: float
    width: int
    height: int
    num_frames: int | None


def probe_video(source: str | PathLike[str] | Readable, *, rate: float | None = None) -> VideoInfo:
    """Read the header and the first frame of a video; raise `VideoError` if it has none to show.

    A file which does not tell its duration is read through once, without decoding, to measure it;
    what lies behind an address and does not tell it is taken for a live stream. Of a folder of
    images `rate` tells how many are shown per second.
    """
    if is_folder(source):
        return _probe_folder(ImageFolder(source, rate))
    return _probe(source_of(source))


def stream_video(
    source: VideoSource,
    *,
    fps: float | None = 1.0,
    max_frames: int | None = None,
    sampling: Literal["auto", "centres"] = "auto",
    strict: bool = False,
    start: float = 0.0,
    end: float | None = None,
    rate: float | None = None,
) -> "VideoSamples":
    """Yield frames in order, each uint8 [height, width, 3] RGB, with its time in seconds.

    The time is the frame's presentation time minus that of the first frame. A sample at time t
    is the frame on display then: the last one with time <= t (or up to 1 ms after t, because
    containers round); the last frame stays on display until the end. A frame on display at several
    sample times is yielded for each of them, every time with its own true time. Rotation is applied
    in steps of 90 degrees, frames whose size changes are yielded as they are.

    FFmpeg conceals what it can of damaged frames and flags them; they are yielded, and counted in
    `flagged` of what is returned. Flags are no checksum: frames that lean on a flagged one, and
    many with a changed byte, are wrong without a flag.

    Args:
        source: a file's path, an open binary file or `BytesIO`; an address that FFmpeg opens, such
            as "https://..." or "rtsp://...", read without seeking, a live one until it ends; a
            folder of images, in natural order of their names (2 before 10); or frames one by one,
            of any kind and yielded as they are, which are sampled as a live stream is where they do
            not tell their number.
        fps: samples a second; None: every frame once.
        max_frames: most samples; None: any number.
        sampling: "auto": at t = 0, 1/fps, 2/fps, ... < duration, or as "centres" should these be
            more than `max_frames`. "centres": n = min(max(1, int(duration * fps)), max_frames)
            samples (`fps=None`: n = min(number of frames, max_frames)) at t = (i + 0.5) *
            duration / n, which with fps=1, max_frames=512 is the sampling of the StateKV paper. The
            duration is that of `probe_video`.
        strict: take the first flagged frame for damage.
        start, end: seconds; take those of the samples (or frames) with start <= t < end, so that
            parts add up to the whole, and times go on counting from the first frame of the video.
            "centres" and `max_frames` go by the part as if it were all.
        rate: images or given frames shown per second.

    Raises:
        VideoError: at the call for arguments or a file that cannot be; for damage further inside
            after the last good sample, with how many frames and seconds were good.
    """
    if is_folder(source) or not isinstance(source, str | PathLike | Readable):
        frames = ImageFolder(source, rate) if is_folder(source) else GivenFrames(source, rate)
        chosen = Sampling(frames, fps, max_frames, sampling, start, end)
        return VideoSamples(frames.shown(chosen))
    if rate is not None:
        raise VideoError(f"{source}: rate is {rate!r}; leave it out, a video has times of its own")
    opened = source_of(source)
    chosen = Sampling(opened, fps, max_frames, sampling, start, end)
    info = _probe(opened)
    flags = _Flags()
    return VideoSamples(
        _samples(opened, _shown(chosen, info, opened), max_frames, strict, flags), flags
    )


def frames_at(
    path: str | PathLike[str] | Readable, seconds: Iterable[float], *, strict: bool = False
) -> "VideoSamples":
    """Yield the frame on display at each of the given times; otherwise as `stream_video`. A time
    behind the end shows the last frame.

    Args:
        path: of a file, an address, or an open binary file.
        seconds: after the first frame; they may repeat but not fall.
        strict: take a frame that FFmpeg flags for damage, as `stream_video` does.

    Raises:
        VideoError: at the call for a negative, falling or infinite time; when frames are taken, for
            a file that cannot be opened or is damaged.
    """
    times = list(seconds)
    numbers = [float(time) for time in times if is_finite(time)]
    rising = all(before <= time for before, time in pairwise([0.0, *numbers]))
    if not rising or len(numbers) < len(times):
        raise VideoError(
            f"{path}: times must be numbers that rise from 0, got {str(times[:8])[:200]}"
        )
    flags = _Flags()
    shown = lambda head: map(head.show, numbers)  # noqa: E731
    return VideoSamples(_samples(source_of(path), shown, None, strict, flags), flags)


class VideoSamples(Generator[Sample, None, None]):
    """A generator of frames and their times that knows how many FFmpeg flagged as damaged."""

    def __init__(
        self, frames: Generator[Sample, None, None], flags: "_Flags | None" = None
    ) -> None:
        self._flags = flags or _Flags()
        self._frames = frames

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


def _probe(opened: Source) -> VideoInfo:
    with (
        ffmpeg_errors_told(opened),
        open_video(opened) as container,
        closing(Playhead(container, opened)) as head,
    ):
        height, width = _pixels(head.shown).shape[:2]
        average = head.stream.average_rate or head.stream.guessed_rate
        duration = declared_duration(container, head.stream, opened)
        frames = head.stream.frames or None
    if duration is None:
        duration, frames = (math.inf, None) if opened.size() is None else measure(opened)
    fps = float(average) if average else (frames or 1) / duration
    path = opened.path if isinstance(opened, FileSource) else str(opened)
    return VideoInfo(path, duration, fps, width, height, frames)


def _probe_folder(folder: ImageFolder) -> VideoInfo:
    height, width = folder.first.shape[:2]
    return VideoInfo(folder.path, folder.duration, folder.rate, width, height, folder.count)


def _shown(chosen: Sampling, info: VideoInfo, source: Source) -> Shown:
    """What a playhead shows of the chosen samples."""
    every = chosen.fps is None and chosen.max_frames is None and chosen.sampling == "auto"
    counted = None if every else _counted(chosen, info, source)
    times = chosen.times(info.duration, counted)
    if times is None and not chosen.is_part:
        return Playhead.remaining
    if times is None:  # also what is shown behind the end that the file declares
        last = math.inf if chosen.end is None else chosen.end
        return lambda head: head.between(chosen.start, last)
    if math.isinf(info.duration):
        return lambda head: head.until_over(times)
    return lambda head: map(head.show, times)


def _counted(chosen: Sampling, info: VideoInfo, source: Source) -> int | None:
    """Frames of the part, about; of the whole as the container tells, or by counting."""
    if chosen.fps is not None:
        return None
    if math.isinf(info.duration):
        return None
    begin, stop = chosen.part(info.duration)
    whole = info.num_frames or measure(source)[1]
    return max(1, round(whole * (stop - begin) / info.duration)) if chosen.is_part else whole


def _samples(
    source: Source, shown: Shown, max_frames: int | None, strict: bool, flags: _Flags
) -> Generator[Sample, None, None]:
    yielded = 0
    try:
        with (
            ffmpeg_errors_told(source),
            open_video(source) as container,
            closing(Playhead(container, source, strict=strict)) as head,
        ):
            # The count of a container is a claim, max_frames a promise: hence the islice.
            for frame in islice(shown(head), max_frames and min(max_frames, sys.maxsize)):
                flags.count = head.flagged
                yield _pixels(frame), head.seconds(frame)
                yielded += 1
    except DamageError as damage:
        good = f"{flags.count} of them flagged by FFmpeg" if flags.count else "all good"
        raise VideoError(
            f"{source}: {damage}; frames yielded before that, {good}: {yielded}. "
            "Copy or download the file anew, or re-encode what is left of it with ffmpeg"
        ) from damage


def _pixels(frame: "VideoFrame") -> Tensor:
    """[height, width, 3] uint8 RGB in memory of its own, turned the way a player shows it."""
    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
    quarters = round(frame.rotation / 90) % 4
    return torch.rot90(pixels, quarters, (0, 1)).contiguous() if quarters else pixels
