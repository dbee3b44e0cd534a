"""Two cells on the same questions: differences with intervals, and McNemar's test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np


@dataclass(frozen=True)
class Difference:
    """Accuracy of one cell minus that of another, in percentage points.

    Attributes:
        points: the difference.
        low, high: bounds of the interval.
        gained, lost: questions that only the one, or only the other, got right.
        p_value: of McNemar's exact test; it knows nothing of questions that share a video.
    """

    points: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float


def paired_difference(
    ours: Sequence[bool],
    theirs: Sequence[bool],
    videos: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Compare two cells question by question.

    The interval is a percentile bootstrap over videos, not questions, because questions about one
    video are not independent.

    Args:
        ours, theirs: whether each question was answered right.
        videos: the video of each question.

    Raises:
        ValueError: for sequences of different lengths, or none.
    """
    if not len(ours) == len(theirs) == len(videos) or not len(ours):
        raise ValueError(
            f"paired comparison needs equally many answers, got {len(ours)}, {len(theirs)} and "
            f"{len(videos)} videos"
        )
    deltas = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    low, high = interval_by_video(100 * deltas, videos, level=level, resamples=resamples, seed=seed)
    gained, lost = int((deltas > 0).sum()), int((deltas < 0).sum())
    return Difference(
        100 * float(deltas.mean()), low, high, gained, lost, mcnemar_p_value(gained, lost)
    )


def mcnemar_p_value(gained: int, lost: int) -> float:
    """Two-sided exact p-value: how likely a split at least as uneven is if both were as good."""
    discordant = gained + lost
    tail = sum(comb(discordant, k) for k in range(min(gained, lost) + 1))
    # Integers throughout: 2^discordant overflows a float from 1,024 on.
    return min(1.0, 2 * tail / 2**discordant) if discordant else 1.0


def interval_by_video(
    values: Sequence[float] | np.ndarray,
    videos: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bounds between which the share of `level` of the means over resampled videos lies."""
    return bounds(resampled_means(values, videos, resamples=resamples, seed=seed), level)


def resampled_means(
    values: Sequence[float] | np.ndarray,
    videos: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> np.ndarray:
    """[resamples] means over videos drawn with replacement, all values of a video together."""
    cluster = _clusters(tuple(videos))
    sums, counts = np.bincount(cluster, values), np.bincount(cluster)
    times = _times_drawn(len(sums), resamples, seed)
    # With one value a video every resample is of equally many.
    drawn = float(len(counts)) if (counts == 1).all() else times @ counts
    return (times @ sums) / drawn


def bounds(means: np.ndarray, level: float) -> tuple[float, float]:
    """Between which the share of `level` of some means lies, as much outside on either side."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=16)  # sorting 512 names takes a tenth of the means; rules share their videos
def _clusters(videos: tuple[str, ...]) -> np.ndarray:
    """[values] the number of each value's video, by name; not to be written to."""
    return np.unique(np.asarray(videos), return_inverse=True)[1]


@lru_cache(maxsize=2)  # 8 MB for 100 videos; drawing takes ten times as long as the means
def _times_drawn(videos: int, resamples: int, seed: int) -> np.ndarray:
    """[resamples, videos] how often each video is in each resample; not to be written to."""
    drawn = np.random.default_rng(seed).integers(videos, size=(resamples, videos))
    drawn += videos * np.arange(resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=resamples * videos)
    return times.reshape(resamples, videos).astype(float)
