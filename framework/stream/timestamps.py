"""Times of frames as they come from users, turned into seconds that never run backwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import SupportsFloat

import numpy as np
from torch import Tensor

# Beyond it, a float no longer tells one second from the next.
LARGEST = 2.0**53


def as_timestamps(
    timestamps: Sequence[float | None] | float | None, count: int
) -> list[float | None]:
    """One timestamp per frame, None where unknown.

    Raises:
        ValueError: if their number differs from the number of frames, or for anything but finite
            numbers.
    """
    if timestamps is None:
        return [None] * count
    times = [None if time is None else as_seconds(time) for time in _listed(timestamps)]
    if len(times) != count:
        raise ValueError(f"{count} frames came with {len(times)} timestamps; give one per frame")
    return times


def as_seconds(time: object) -> float:
    """One timestamp as a finite number of seconds.

    Raises:
        ValueError: naming what was given instead.
    """
    number = _plain(time)
    if isinstance(number, SupportsFloat) and not isinstance(number, bool | np.ndarray | Tensor):
        try:
            seconds = float(number)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if abs(seconds) <= LARGEST:
            return seconds
    raise ValueError(
        f"a timestamp is a finite number of seconds, got {_shown(time)}: give one number per frame "
        "(None where it is not known)"
    )


def in_order(latest: float | None, times: Iterable[float | None]) -> float | None:
    """The latest of some times that follow a stream whose latest one is given; equal ones may.

    Raises:
        ValueError: naming both times where they run backwards.
    """
    for time in times:
        if time is not None and latest is not None and time < latest:
            raise ValueError(
                f"timestamps run backwards: {time:g} s after {latest:g} s; push frames in the "
                "order of the video, and another video into a session of its own"
            )
        latest = latest if time is None else time
    return latest


def _listed(timestamps: object) -> Iterable[object]:
    if isinstance(timestamps, Tensor | np.ndarray):
        return [timestamps] if timestamps.ndim == 0 else list(timestamps)
    if isinstance(timestamps, Iterable) and not isinstance(timestamps, str | bytes):
        return timestamps
    return [timestamps]


def _plain(time: object) -> object:
    """The number in an array or tensor without axes; everything else as it is."""
    if isinstance(time, Tensor):
        usable = time.ndim == 0 and not time.is_meta and not time.is_sparse
        return time.item() if usable else time
    return time.item() if isinstance(time, np.ndarray | np.generic) and time.ndim == 0 else time


def _shown(time: object) -> str:
    if isinstance(time, Tensor | np.ndarray):
        return f"{type(time).__name__} of shape {tuple(time.shape)} and {time.dtype}"
    shown = repr(time) if isinstance(time, str | bytes | int | float | complex) else ""
    return shown if 0 < len(shown) <= 40 else f"{type(time).__name__} {shown[:40]}".strip()
