"""Which differences between memories are more than chance, and which are as good as none.

Streams are the unit: two memories pass the same ones, so their difference in each stream is one
draw. An interval says how large a difference is, a sign-flip test whether there is one, Holm's
correction what remains of that when many rules are tried, and two one-sided tests whether it is too
small to matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np

from ..reports.intervals import bounds, resampled_means

LEVEL = 0.05
DRAWS = 10_000  # of signs, where there are more ways to flip them than that
MARGIN = 0.1  # share of what the rival loses to full attention, within which rules count as equal
BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"


@dataclass(frozen=True)
class Comparison:
    """A rule's measure minus its rival's on the same streams.

    Attributes:
        mean: over streams.
        low, high: bounds of its 95 % interval by a bootstrap over streams, of this comparison
            alone.
        p_value: of the sign-flip test, by Holm's correction over all rules compared together.
        margin: differences smaller than this count as none.
        verdict: "better" or "worse" where the p-value is below 5 %; else "equivalent" where the
            90 % interval lies inside the margin; else "undecided".
        streams: that both passed.
    """

    mean: float
    low: float
    high: float
    p_value: float
    margin: float
    verdict: str
    streams: int


def compared(
    differences: Sequence[Sequence[float]], margin: float, *, lower_is_better: bool = True
) -> list[Comparison]:
    """Several rules against one rival.

    Args:
        differences: of each rule, by stream; at least one stream each.
        margin: in the measure's unit, stated before the streams were looked at.

    Raises:
        ValueError: for a rule without streams, or a negative margin.
    """
    if margin < 0 or not all(map(len, differences)):
        raise ValueError(
            f"comparisons need a stream in common and a margin of 0 or more, got {margin:g} and "
            f"{[len(one) for one in differences]} streams: run both on the same streams"
        )
    corrected = holm([sign_flip_p_value(one) for one in differences])
    return [
        _judged(one, p_value, margin, lower_is_better)
        for one, p_value in zip(differences, corrected, strict=True)
    ]


def sign_flip_p_value(differences: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p-value of a mean: the share of sign flips that bring it as far from 0.

    If neither memory were better, each stream's difference could as well have had the other sign.
    All 2^n flips are counted where they are at most `DRAWS`; else that many are drawn, and what was
    observed counts as one more, so that no p-value is 0 (Phipson & Smyth, 2010).
    """
    values = np.asarray(differences, dtype=float)
    exact = 2 ** len(values) <= DRAWS
    observed = abs(values.sum())
    sums = np.abs(_signs(len(values), exact, seed) @ values)
    # Sums of the same numbers in another order differ in their last digits.
    rounding = 1e-12 * float(np.abs(values).sum())
    count, draws = int((sums >= observed - rounding).sum()), len(sums)
    return count / draws if exact else (count + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values by Holm's step-down correction (1979): the chance that even one of all rules seems
    to differ, where none does, stays below the level."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def equivalent(differences: Sequence[float], margin: float, *, level: float = LEVEL) -> bool:
    """Whether the mean lies within ± margin by two one-sided tests: the interval of 1 − 2 · level
    does (Schuirmann, 1987)."""
    return _within(_resampled(differences), margin, level)


def least_p_value(streams: int) -> float:
    """The smallest that the sign-flip test can give on so many streams."""
    return 2 / 2**streams if 2**streams <= DRAWS else 1 / (DRAWS + 1)


def _judged(
    differences: Sequence[float], p_value: float, margin: float, lower_is_better: bool
) -> Comparison:
    mean, resampled = fmean(differences), _resampled(differences)
    if p_value < LEVEL:
        verdict = BETTER if (mean < 0) == lower_is_better else WORSE
    else:
        verdict = EQUIVALENT if _within(resampled, margin, LEVEL) else UNDECIDED
    low, high = bounds(resampled, 1 - LEVEL)
    return Comparison(mean, low, high, p_value, margin, verdict, len(differences))


def _within(resampled: np.ndarray, margin: float, level: float) -> bool:
    low, high = bounds(resampled, 1 - 2 * level)
    return -margin <= low and high <= margin


def _resampled(differences: Sequence[float]) -> np.ndarray:
    """Their mean over streams drawn with replacement, 10,000 times."""
    return resampled_means(differences, _streams(len(differences)))


@lru_cache(maxsize=16)
def _streams(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


@lru_cache(maxsize=4)  # 5 MB for 64 streams; drawing them takes ten times as long as the test
def _signs(count: int, exact: bool, seed: int) -> np.ndarray:
    """[flips, count] of 1 and -1, not to be written to."""
    if exact:
        flips = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        flips = np.random.default_rng(seed).integers(2, size=(DRAWS, count))
    return 1.0 - 2.0 * flips
