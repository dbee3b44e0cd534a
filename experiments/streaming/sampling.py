"""When a question's frames are taken from its stretch of the video."""

from __future__ import annotations

import math
from dataclasses import dataclass

RULES = ("centres", "start")


@dataclass(frozen=True)
class FrameSampling:
    """Which moments of a video are shown to the model.

    Rule "centres", the StateKV paper's: n = min(max(1, int(seconds * fps)), max_frames) frames, at
    the middles of n equal parts. Rule "start": every 1 / fps seconds from the beginning, so that an
    earlier question's frames are a prefix of a later one's; "centres" where that would be more than
    `max_frames`.

    Args:
        fps: frames per second of video.
        max_frames: most frames per question; null for no bound.
        rule: "centres" or "start".

    Raises:
        ValueError: for settings outside these ranges.
    """

    fps: float = 1.0
    max_frames: int | None = 512
    rule: str = "centres"

    def __post_init__(self) -> None:
        number = isinstance(self.fps, int | float)  # whatever a configuration says
        if not number or not 0 < self.fps < math.inf:
            raise ValueError(f"sampling: fps must be a number above 0, got {self.fps}")
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"sampling: max_frames must be at least 1, got {self.max_frames}")
        if self.rule not in RULES:
            raise ValueError(f"sampling: rule must be one of {RULES}, got {self.rule!r}")

    def times(self, duration: float, start: float = 0.0, end: float | None = None) -> list[float]:
        """Seconds into the video, rising.

        Args:
            duration: of the whole video, in seconds.
            start, end: the stretch that may be seen; an end behind the video's is the video's.

        Raises:
            ValueError: if nothing of the stretch lies inside the video.
        """
        seconds = _stretch(duration, start, end)
        count = self._count(seconds)
        if self._every_step(seconds):
            return [start + step / self.fps for step in range(count)]
        return [start + (part + 0.5) * seconds / count for part in range(count)]

    def count(self, duration: float, start: float = 0.0, end: float | None = None) -> int:
        """How many `times` there are; arguments and errors as there."""
        return self._count(_stretch(duration, start, end))

    def rate(self, duration: float, start: float = 0.0, end: float | None = None) -> float:
        """Frames per second of video that `times` takes; arguments and errors as there."""
        seconds = _stretch(duration, start, end)
        return self.fps if self._every_step(seconds) else self._count(seconds) / seconds

    def _every_step(self, seconds: float) -> bool:
        """Whether a frame is taken every 1 / fps seconds."""
        fits = self.max_frames is None or math.ceil(seconds * self.fps) <= self.max_frames
        return self.rule == "start" and fits

    def _count(self, seconds: float) -> int:
        if self._every_step(seconds):
            return math.ceil(seconds * self.fps)
        count = max(1, int(seconds * self.fps))
        return min(count, self.max_frames or count)


def _stretch(duration: float, start: float, end: float | None) -> float:
    """Seconds of the stretch that lie inside the video."""
    end = duration if end is None else min(end, duration)
    if not 0 <= start < end:
        raise ValueError(
            f"nothing to see from {start:g} s to {end:g} s of a video of {duration:g} s"
        )
    return end - start
