"""Tests and intervals of paired streams, against what can be worked out by hand."""

from math import erfc

import numpy as np
import pytest

from crossframe.experiments.evidence.statistics import (
    compared,
    equivalent,
    holm,
    least_p_value,
    sign_flip_p_value,
)


def test_all_flips_of_few_streams_are_counted() -> None:
    # Of the eight sums ±1 ±2 ±3 those as far from 0 as 6 are 6 and -6.
    assert sign_flip_p_value([1, 2, 3]) == 2 / 8
    # 1 + 2 - 3 = 0: every sum is as far.
    assert sign_flip_p_value([1, 2, -3]) == 1
    # Observed 4: 6, 4, -4 and -6, each in one way.
    assert sign_flip_p_value([-1, 2, 3]) == 4 / 8
    assert sign_flip_p_value([0, 0, 0, 0]) == 1
    # Added in another order these differ in their last digit, and even what was observed would be
    # less far than itself.
    assert sign_flip_p_value([1.1, 0.7, 0.3, 0.2, 0.2, 0.1]) == 2 / 64


def test_flips_of_many_streams_are_drawn_by_seed_and_never_give_0() -> None:
    same_sign = [1.0] * 64
    assert sign_flip_p_value(same_sign) == least_p_value(64) == 1 / 10_001
    uneven = list(np.random.default_rng(3).normal(0.3, 1, 40))
    assert sign_flip_p_value(uneven) == sign_flip_p_value(uneven)
    # The distribution of sums is close to normal here.
    z = abs(np.sum(uneven)) / np.sqrt(np.sum(np.square(uneven)))
    assert sign_flip_p_value(uneven) == pytest.approx(erfc(z / np.sqrt(2)), abs=0.02)


def test_drawn_flips_agree_with_counted_ones() -> None:
    values = list(np.random.default_rng(5).normal(0.4, 1, 13))
    padded = [*values, 0.0]  # 2^14 flips are drawn, and a 0 changes no sum
    assert sign_flip_p_value(padded) == pytest.approx(sign_flip_p_value(values), abs=0.02)
    assert sign_flip_p_value(padded) != sign_flip_p_value(values)


def test_holms_correction_by_hand() -> None:
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1 gives .04 .06 .06 .04, and none below the one before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_equivalence_needs_the_whole_interval_inside_the_margin() -> None:
    values = [0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01, 0.0]
    assert equivalent(values, 0.02)
    assert not equivalent(values, 0.002)
    assert not equivalent([value + 0.02 for value in values], 0.02), "its interval reaches beyond"
    assert equivalent([0.0, 0.0], 0.0), "the same in every stream"


def test_verdicts() -> None:
    lower = [-1.0 - n / 100 for n in range(10)]
    higher = [-value for value in lower]
    none = [0.01 * (-1) ** n for n in range(10)]
    wide = [float((-1) ** n) for n in range(10)]
    found = compared([lower, higher, none, wide], margin=0.1)
    assert [one.verdict for one in found] == ["better", "worse", "equivalent", "undecided"]
    flipped = compared([lower, higher], margin=0.1, lower_is_better=False)
    assert [one.verdict for one in flipped] == ["worse", "better"]
    better = found[0]
    assert better.p_value == 4 * 2 / 2**10, "corrected over four rules"
    assert better.mean == pytest.approx(-1.045)
    assert -1.09 < better.low < better.mean < better.high < -1
    assert (better.streams, better.margin) == (10, 0.1)


def test_eight_streams_cannot_separate_ten_rules() -> None:
    rules = [[1.0] * 8] * 9
    assert {one.verdict for one in compared(rules, margin=0.5)} == {"undecided"}
    assert 9 * least_p_value(8) > 0.05 > 9 * least_p_value(9)


def test_comparisons_need_streams_and_a_margin() -> None:
    with pytest.raises(ValueError, match=r"got -1 and \[1\] streams: run both on the same"):
        compared([[1.0]], margin=-1)
    with pytest.raises(ValueError, match=r"a stream in common .* got 0.1 and \[2, 0\] streams"):
        compared([[1.0, 2.0], []], margin=0.1)


def simulated(shift: float, streams: int = 16, runs: int = 120) -> list[list[float]]:
    """Heavy-tailed differences of `runs` comparisons."""
    random = np.random.default_rng(7)
    return [list(one) for one in random.standard_t(5, size=(runs, streams)) + shift]


def test_errors_are_as_rare_as_promised() -> None:
    """Where nothing differs, about 5 % false verdicts, and intervals that cover about 95 %.

    Of 120 runs by a fixed seed; the bounds leave room for the bootstrap's known optimism at 16
    streams.
    """
    found = [compared([one], margin=0.1)[0] for one in simulated(0.0)]
    false = sum(one.verdict in ("better", "worse") for one in found) / len(found)
    covered = sum(one.low <= 0 <= one.high for one in found) / len(found)
    assert 0.01 <= false <= 0.10
    assert 0.88 <= covered <= 0.99


def test_equivalence_is_rarely_said_of_rules_at_the_margin() -> None:
    said = [equivalent(one, 0.9) for one in simulated(0.9)]
    assert 0.01 <= sum(said) / len(said) <= 0.10
