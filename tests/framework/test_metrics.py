"""Metrics by hand, against plain loops over Python sets, and by their identities."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import metrics

TOKENS = 6


def mask(*tokens: int, of: int = TOKENS) -> Tensor:
    return torch.tensor([token in tokens for token in range(of)])


def by_loops(part: set[int], whole: set[int], weights: list[float]) -> float:
    total = math.fsum(weights[token] for token in whole)
    return math.fsum(weights[token] for token in part & whole) / total if total else math.nan


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[float], set[int], set[int], set[int] | None]:
    """Mass, two sets that are not empty, and the historical tokens or None."""
    tokens = draw(st.integers(1, 12))
    one = st.floats(0.0, 8.0, allow_subnormal=False)
    some = st.sets(st.integers(0, tokens - 1), min_size=1)
    weights = draw(st.lists(one, min_size=tokens, max_size=tokens))
    return weights, draw(some), draw(some), draw(st.none() | some)


def log_probabilities(logits: list[float]) -> list[float]:
    top = max(logits)
    total = math.log(math.fsum(math.exp(logit - top) for logit in logits))
    return [logit - top - total for logit in logits]


def kl_by_loops(full: list[float], ours: list[float]) -> float:
    pairs = zip(log_probabilities(full), log_probabilities(ours), strict=True)
    return math.fsum(math.exp(p) * (p - q) for p, q in pairs)


def close(result: Tensor, expected: float) -> bool:
    return result.dtype == torch.float64 and result.item() == pytest.approx(expected, nan_ok=True)


# Answers and logits


@pytest.mark.parametrize(
    ("ours", "theirs", "agreement"),
    [
        ([], [], 1.0),
        ([1], [], 0.0),
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 3, 4], [1, 9, 3], 0.5),
        ([2, 1], [1, 2], 0.0),
    ],
)
def test_answer_agreement(ours: list[int], theirs: list[int], agreement: float) -> None:
    assert metrics.answer_agreement(ours, theirs) == agreement
    assert metrics.answer_agreement(torch.tensor(theirs), torch.tensor(ours)) == agreement


def test_answer_agreement_takes_one_answer() -> None:
    with pytest.raises(ValueError, match=r"\[1, 3\].*rows"):
        metrics.answer_agreement(torch.zeros(1, 3), torch.zeros(3))


def test_kl_by_hand_and_its_direction() -> None:
    full, ours = torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert close(metrics.kl_to_full(ours.log() + 3.0, full.log()), expected)
    assert not close(metrics.kl_to_full(full.log(), ours.log()), expected)


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 2), min_size=1, max_size=9))
def test_kl_is_finite_and_zero_only_on_itself(pairs: list[tuple[float, float]]) -> None:
    ours, full = torch.tensor(pairs, dtype=torch.float32).mT
    result = metrics.kl_to_full(ours, full)
    assert result.isfinite()
    assert result >= 0
    assert metrics.kl_to_full(full, full) == 0
    assert result.item() == pytest.approx(kl_by_loops(full.tolist(), ours.tolist()), abs=1e-9)


def test_kl_is_not_negative_by_rounding() -> None:
    full = torch.randn(2000, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    results = metrics.kl_to_full(full + 0.1, full)
    assert results.min() >= 0.0
    assert results.max() < 1e-15


def test_kl_of_excluded_tokens() -> None:
    one, both = torch.tensor([0.0, -math.inf]), torch.tensor([0.0, 0.0])
    assert close(metrics.kl_to_full(both, one), math.log(2.0))
    assert metrics.kl_to_full(one, both) == math.inf
    assert metrics.kl_to_full(one, one) == 0.0


def test_kl_keeps_leading_dimensions_and_half_precision_counts() -> None:
    logits = torch.randn(2, 3, 7, dtype=torch.bfloat16)
    result = metrics.kl_to_full(logits, logits.roll(1, -1))
    assert result.shape == (2, 3)
    assert result.dtype == torch.float64


def test_relative_error() -> None:
    full = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert close(metrics.relative_error(full, full), 0.0)
    assert close(metrics.relative_error(full * 1.5, full), 0.5)
    assert close(metrics.relative_error(torch.zeros(2, 2), full), 1.0)
    assert close(metrics.relative_error(full * 0, full * 0), 0.0)
    assert metrics.relative_error(full, full * 0) == math.inf
    assert metrics.relative_error(full * math.nan, full).isnan()


@pytest.mark.parametrize("function", [metrics.kl_to_full, metrics.relative_error])
def test_shapes_must_agree(function) -> None:
    with pytest.raises(ValueError, match=r"\[3\] and \[4\]"):
        function(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match="not empty"):
        function(torch.zeros(0), torch.zeros(0))


# Sets of tokens, by hand: frame n holds tokens 0 to 3, frame n + 1 adds 4 and 5


def test_by_hand() -> None:
    mass = torch.tensor([4.0, 0.0, 1.0, 1.0, 3.0, 1.0])
    previous, oracle, history = mask(0, 1), mask(0, 2, 4), mask(0, 1, 2, 3)
    pool = previous | mask(4, 5)
    assert close(metrics.captured_mass(mass, mask(0, 4)), 0.7)
    assert close(metrics.captured_mass(mass, mask(0, 4), historical=history), 4 / 6)
    assert close(metrics.recall(oracle, pool), 2 / 3)
    assert close(metrics.recall(oracle, pool, historical=history), 1 / 2)
    assert close(metrics.weighted_recall(mass, oracle, pool), 7 / 8)
    assert close(metrics.weighted_recall(mass, oracle, pool, historical=history), 4 / 5)
    assert close(metrics.retention(previous, oracle), 1 / 2)
    assert close(metrics.churn(previous, oracle), 2 / 3)
    assert close(metrics.churn(previous, oracle, historical=history), 1 / 2)


@given(scenes())
def test_against_loops(scene: tuple[list[float], set[int], set[int], set[int] | None]) -> None:
    weights, first, second, history = scene
    size = len(weights)
    a, b = mask(*first, of=size), mask(*second, of=size)
    mass = torch.tensor(weights, dtype=torch.float64)
    past = set(range(size)) if history is None else history
    historical = None if history is None else mask(*history, of=size)
    ones = [1.0] * size
    left = by_loops(first, second & past, ones)
    expected = {
        metrics.captured_mass(mass, a, historical=historical): by_loops(first, past, weights),
        metrics.recall(b, a, historical=historical): left,
        metrics.retention(b, a, historical=historical): left,
        metrics.churn(a, b, historical=historical): 1 - left,
        metrics.weighted_recall(mass, b, a, historical=historical): by_loops(
            first, second & past, weights
        ),
    }
    for result, value in expected.items():
        assert close(result, value)
        assert result.isnan() or 0.0 <= result <= 1.0


@given(scenes())
def test_identities(scene: tuple[list[float], set[int], set[int], set[int] | None]) -> None:
    weights, first, second, _ = scene
    a, b = mask(*first, of=len(weights)), mask(*second, of=len(weights))
    mass = torch.tensor(weights, dtype=torch.float64) + 1e-3
    everything = torch.ones_like(a)
    assert metrics.captured_mass(mass, everything) == 1.0
    assert close(metrics.captured_mass(mass, a) + metrics.captured_mass(mass, ~a), 1.0)
    assert metrics.captured_mass(mass, a) <= metrics.captured_mass(mass, a | b)
    assert metrics.recall(a, a) == metrics.weighted_recall(mass, a, a | b) == 1.0
    assert close(metrics.weighted_recall(everything, a, b), metrics.recall(a, b).item())
    if len(first) == len(second):
        assert close(metrics.retention(a, b) + metrics.churn(a, b), 1.0)


def test_rows_equal_single_calls() -> None:
    generator = torch.Generator().manual_seed(0)
    mass = torch.rand(3, 2, TOKENS, generator=generator)
    kept, other = (torch.rand(3, 2, TOKENS, generator=generator) < 0.5 for _ in range(2))
    kept[..., 0], other[..., 0] = True, True
    history = mask(0, 1, 2, 3)
    result = metrics.weighted_recall(mass, kept, other, historical=history)
    assert result.shape == (3, 2)
    for layer in range(3):
        for head in range(2):
            row = mass[layer, head], kept[layer, head], other[layer, head]
            assert metrics.weighted_recall(*row, historical=history) == result[layer, head]
    shared = metrics.captured_mass(mass, mask(0, 1), historical=history)
    assert shared.shape == (3, 2)


def test_nothing_left_to_measure_is_nan() -> None:
    mass, history = torch.ones(TOKENS), mask(0, 1, 2)
    assert metrics.recall(mask(5), mask(5), historical=history).isnan()
    assert metrics.weighted_recall(mass, mask(5), mask(5), historical=history).isnan()
    assert metrics.captured_mass(mass * 0, mask(1)).isnan()
    assert metrics.captured_mass(mass, mask()) == 0.0


def test_empty_sets_are_errors() -> None:
    mass = torch.ones(TOKENS)
    with pytest.raises(ValueError, match="start at the second frame"):
        metrics.captured_mass(mass, mask(1), historical=mask())
    with pytest.raises(ValueError, match="oracle has no tokens"):
        metrics.recall(mask(), mask(1))
    with pytest.raises(ValueError, match="oracle has no tokens"):
        metrics.weighted_recall(mass, torch.stack([mask(1), mask()]), mask(1))
    with pytest.raises(ValueError, match="previous has no tokens"):
        metrics.retention(mask(), mask(1))
    with pytest.raises(ValueError, match="current has no tokens"):
        metrics.churn(mask(1), mask())
    with pytest.raises(ValueError, match="stream has no tokens"):
        metrics.captured_mass(torch.ones(0), mask(of=0))


def test_bad_shapes_are_errors() -> None:
    with pytest.raises(ValueError, match=r"\[7\], \[6\] disagree.*pad to one length"):
        metrics.retention(mask(1), mask(1, of=7))
    with pytest.raises(ValueError, match=r"\[2, 6\].*do not broadcast"):
        metrics.captured_mass(torch.ones(3, TOKENS), mask(1).expand(2, -1))
    with pytest.raises(ValueError, match="membership"):
        metrics.recall(torch.tensor([0, 1]), torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="membership"):
        metrics.churn(torch.tensor([0.0, 1.0]), torch.tensor([True, True]))
    with pytest.raises(ValueError, match="disagree"):
        metrics.captured_mass(torch.tensor(1.0), mask(1))


# From slots to sets


@given(st.lists(st.sets(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=4))
def test_membership(rows: list[set[int]]) -> None:
    index = torch.tensor([sorted(row) for row in rows])
    expected = torch.stack([mask(*row, of=10) for row in rows])
    assert metrics.membership(index, 10).equal(expected)


def test_membership_of_padded_and_empty_slots() -> None:
    index, valid = torch.tensor([[-1, 3], [1, 2]]), torch.tensor([[False, True], [True, True]])
    expected = torch.stack([mask(3, of=4), mask(1, 2, of=4)])
    assert metrics.membership(index, 4, valid=valid).equal(expected)
    nothing = metrics.membership(torch.empty(2, 0, dtype=torch.int64), 4)
    assert nothing.equal(torch.zeros(2, 4, dtype=torch.bool))


def test_membership_beyond_the_stream() -> None:
    with pytest.raises(ValueError, match="stream of 3 tokens"):
        metrics.membership(torch.tensor([1, 3]), 3)
