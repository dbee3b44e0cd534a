"""Frames of a video on their way to a session: counted, with a progress bar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ...framework.video import VideoError, probe_video, stream_video
from .options import StreamOptions
from .sampling import FrameSampling

# Frames for which a live stream is set up where nothing bounds it.
LIVE = 512


class VideoFrames:
    """The sampled frames of one file, folder of images or address, one at a time.

    Damage inside the file ends the frames and is kept in `damage`: what came before is good. It is
    an error where the options are strict or no frame is good.

    Attributes:
        path: the file or folder, or what an address ends in.
        name: the path or address as it was given.
        expected: how many frames there will be, about; of a live stream the most there may be.
        fps: how many of them there are per second of video, about.
        begin, duration: seconds from and until which they are shown; inf of a live stream.
        taken: how many there were so far.
        damage: why the frames ended early, or None.

    Raises:
        VideoError: for a file that is no video, or options that cannot be.
    """

    def __init__(self, path: str | Path, options: StreamOptions) -> None:
        self._strict = options.strict
        self._frames = stream_video(
            path,
            fps=options.fps,
            max_frames=options.max_frames,
            strict=options.strict,
            start=options.start,
            end=options.end,
            rate=options.rate,
        )
        info = probe_video(path, rate=options.rate)
        self.path, self.name, self.begin = Path(info.path), str(info.path), options.start
        self.duration = info.duration if options.end is None else min(info.duration, options.end)
        sampling = FrameSampling(options.fps or info.fps, options.max_frames, "start")
        length = self.duration - self.begin
        if math.isinf(length):
            self.expected, self.fps = options.max_frames or LIVE, options.fps or info.fps
        else:
            self.expected, self.fps = sampling.count(length), sampling.rate(length)
        self.taken = 0
        self.damage: VideoError | None = None

    def __iter__(self) -> Iterator[tuple[Tensor, float]]:
        try:
            for frame in self._frames:
                self.taken += 1
                yield frame
        except VideoError as error:
            if self._strict or not self.taken:
                raise
            self.damage = error

    @property
    def flagged(self) -> int:
        """How many frames FFmpeg flagged as damaged so far, of those it had to decode."""
        return self._frames.flagged

    def warn(self, console: Console) -> None:
        """Say loudly that the video was cut short, or is damaged inside, if it is."""
        texts = []
        if self.damage is not None:
            good = "frames before" if self.flagged else "good frames"
            texts.append(f"{self.damage}. Going on with the {self.taken} {good} alone.")
        if self.flagged:
            texts.append(f"{self.name}: {told_flags(self.flagged)}")
        for text in texts:
            say = f"WARNING: {text}"
            console.print(say, style="bold yellow", markup=False, highlight=False, soft_wrap=True)


def told_flags(count: int) -> str:
    """What it means that FFmpeg flagged so many frames."""
    return (
        f"FFmpeg flags {count} of the decoded frames as damaged; what is shown of them, and of "
        "frames that lean on them, may be wrong (strict refuses them)"
    )


def progress_bar(console: Console) -> Progress:
    """A bar that leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
