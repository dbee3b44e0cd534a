"""At which times frames are taken of a video."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from numbers import Real
from typing import SupportsFloat

from .playhead import TOLERANCE
from .source import VideoError


@dataclass(frozen=True)
class Sampling:
    """Which frames are taken, see `stream_video`.

    Args:
        source: named in messages.

    Raises:
        VideoError: for a setting that cannot be, naming it.
    """

    source: object
    fps: float | None
    max_frames: int | None
    sampling: str
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        most, fps = self.max_frames, self.fps
        # bool is a kind of int, and True frames per second is surely a slip
        if fps is not None and not is_rate(fps):
            self._refuse("fps", fps, "a number > 0, or None for every frame")
        whole = isinstance(most, int) and not isinstance(most, bool) and most >= 1
        if most is not None and not whole:
            self._refuse("max_frames", most, "an integer >= 1, or None")
        if self.sampling not in ("auto", "centres"):
            self._refuse("sampling", self.sampling, "'auto' or 'centres'")
        if not (is_finite(self.start) and self.start >= 0):
            self._refuse("start", self.start, "seconds >= 0")
        if self.end is not None and not (is_finite(self.end) and self.end > self.start):
            self._refuse("end", self.end, f"seconds after the start, {self.start:g}, or None")

    @property
    def is_part(self) -> bool:
        """Whether it is not the whole video."""
        return self.start > 0 or self.end is not None

    def part(self, duration: float) -> tuple[float, float]:
        """The seconds from and before which frames are taken of a video of this length."""
        if self.start >= duration:
            raise VideoError(
                f"{self.source}: start is {self.start:g}, but it is {duration:g} seconds long; "
                "give an earlier start"
            )
        return self.start, duration if self.end is None else min(self.end, duration)

    def times(self, duration: float, frames: int | None = None) -> Iterator[float] | None:
        """Seconds after the first frame, ascending; None = every frame of the part.

        Args:
            duration: of the video; inf where it does not tell.
            frames: how many the part has, where that was counted.
        """
        begin, stop = self.part(duration)
        length, fps, most = stop - begin, self.fps, self.max_frames
        if math.isinf(stop) and self.sampling == "centres":
            self._refuse("sampling", "centres", "'auto', or an end: how long it is is not known")
        if fps is None and (frames is None or math.isinf(stop)):
            return None
        if fps is None:
            grid = range(frames or 1)
        elif math.isinf(stop):
            return (step / fps for step in count(_first(begin, fps)))
        else:
            grid = range(_first(begin, fps), max(1, _first(stop, fps)))
        if self.sampling == "auto" and not grid:
            self._refuse("fps", fps, f"more: no sample lies between {begin:g} and {stop:g} s")
        if self.sampling == "auto" and (most is None or len(grid) <= most):
            return None if fps is None else (step / fps for step in grid)
        centres = (frames or 1) if fps is None else max(1, int(length * fps))
        centres = min(centres, most or centres)
        return (begin + (step + 0.5) * length / centres for step in range(centres))

    def _refuse(self, name: str, value: object, wanted: str) -> None:
        raise VideoError(f"{self.source}: {name} is {value!r}; give {wanted}")


def is_finite(value: object) -> bool:
    """Whether it is a finite number."""
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def is_rate(value: object) -> bool:
    """Whether it is a number of frames per second."""
    number = is_finite(value) and not isinstance(value, bool)
    return number and isinstance(value, SupportsFloat) and float(value) > 0


def _first(seconds: float, fps: float) -> int:
    """The first sample, counted from that at 0, which does not lie before a time."""
    return max(0, math.ceil((seconds - TOLERANCE) * fps))
