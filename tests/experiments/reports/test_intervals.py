"""Paired differences, intervals and McNemar's test."""

from __future__ import annotations

import numpy as np
import pytest

from crossframe.experiments.reports.intervals import (
    interval_by_video,
    mcnemar_p_value,
    paired_difference,
)


def test_difference_counts_gains_and_losses() -> None:
    ours, theirs = [True, True, False, True], [True, False, True, False]
    found = paired_difference(ours, theirs, ["a", "b", "c", "d"])
    assert (found.points, found.gained, found.lost) == (25.0, 2, 1)
    assert found.low <= found.points <= found.high


def test_interval_of_equal_cells_is_a_point() -> None:
    found = paired_difference([True, False], [True, False], ["a", "b"])
    assert (found.low, found.high, found.p_value) == (0.0, 0.0, 1.0)


def test_interval_knows_that_questions_share_videos() -> None:
    # Ten gains in one video and ten ties in another are two observations, not twenty.
    ours = [True] * 10 + [False] * 10
    theirs = [False] * 20
    clustered = paired_difference(ours, theirs, ["a"] * 10 + ["b"] * 10)
    separate = paired_difference(ours, theirs, [str(n) for n in range(20)])
    assert (clustered.low, clustered.high) == (0.0, 100.0)
    assert separate.low > 20
    assert separate.high < 80


def test_an_interval_is_that_of_means_over_videos_drawn_one_by_one() -> None:
    values, videos = [0.1, 0.7, -0.4, 1.3, 0.2, 0.9], list("aabccd")
    drawn = np.random.default_rng(3).integers(4, size=(500, 4))
    means = []
    for draw in drawn:
        taken = [
            v
            for place in draw
            for v, name in zip(values, videos, strict=True)
            if name == "abcd"[place]
        ]
        means.append(sum(taken) / len(taken))
    found = interval_by_video(values, videos, level=0.9, resamples=500, seed=3)
    assert found == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])), abs=1e-12)


def test_bootstrap_covers_as_often_as_it_says() -> None:
    # Against the normal approximation for many equal clusters.
    ours = [n % 5 != 0 for n in range(1000)]
    theirs = [n % 7 != 0 for n in range(1000)]
    found = paired_difference(ours, theirs, [str(n) for n in range(1000)])
    deltas = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
    mean = sum(deltas) / 1000
    deviation = (sum((d - mean) ** 2 for d in deltas) / 1000 / 1000) ** 0.5
    assert found.low == pytest.approx(100 * (mean - 1.96 * deviation), abs=0.3)
    assert found.high == pytest.approx(100 * (mean + 1.96 * deviation), abs=0.3)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    # By hand: 2 * sum of binomial(n, k) / 2^n over the smaller tail.
    [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 2 / 64), (8, 2, 2 * (1 + 10 + 45) / 1024), (3, 4, 1.0)],
)
def test_mcnemar_by_hand(gained: int, lost: int, expected: float) -> None:
    assert mcnemar_p_value(gained, lost) == pytest.approx(expected)


def test_mcnemar_of_many_questions_does_not_overflow() -> None:
    assert 0 < mcnemar_p_value(1400, 1500) < 0.1


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many answers, got 1, 2 and 1 videos"):
        paired_difference([True], [True, False], ["a"])
