"""Readings of some keys merge exactly to the reading of all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework.attention import chunked
from crossframe.framework.attention.backend import Visibility
from crossframe.framework.attention.merging import Reading, merged

from .problems import KINDS, Problem, by_loops, problem, problems, read

NOTHING = Reading(torch.zeros(1, 1, 2, 3), torch.full((1, 1, 2), float("-inf")))


@pytest.mark.parametrize("kind", KINDS)
@given(problems(), st.sampled_from([torch.float64, torch.float32]), st.integers(1, 60))
def test_a_reading_is_the_output_and_the_natural_log_of_the_softmax_sum(
    kind: str, task: Problem, dtype: torch.dtype, most: int
) -> None:
    output, _, weights = by_loops(task)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "CHUNK_NUMBERS", most)
        got = read(kind, task.to(dtype))
    assert got.output.dtype == got.lse.dtype == dtype
    torch.testing.assert_close(got.output.double(), output, atol=tolerance, rtol=0)
    torch.testing.assert_close(got.lse.double(), _lse(task, weights), atol=tolerance, rtol=1e-6)


def _lse(task: Problem, weights: Tensor) -> Tensor:
    """[B, H, T] of the score and the weight of the newest key, the row's own: e^score / e^lse."""
    group = task.query.shape[1] // task.keys.shape[1]
    keys = task.keys.repeat_interleave(group, 1)[:, :, -task.query.shape[2] :]
    own = (task.query * keys).sum(-1) * task.query.shape[-1] ** -0.5
    return own - weights[..., -task.query.shape[2] :].diagonal(dim1=-2, dim2=-1).log()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scores_of_eight_keys_have_the_natural_log_of_eight(kind: str) -> None:
    """A base-2 LSE would say 3, one off by ln 2 would say ln 4 or ln 16."""
    task = problem(1, 7, heads=1)
    got = read(kind, task._replace(keys=torch.zeros_like(task.keys)))
    assert got.lse.item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_row_of_a_step_sees_what_is_carried_and_itself(kind: str) -> None:
    """A causal mask aligned at the top left would show it one key, here it sees 6 of 8."""
    task = problem(3, 5, heads=1)
    got = read(kind, task._replace(keys=torch.zeros_like(task.keys)))
    torch.testing.assert_close(got.lse[0, 0], torch.tensor([6, 7, 8]).double().log())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_query_that_sees_nothing_reads_zero_of_weight_zero(kind: str, dtype: torch.dtype) -> None:
    valid = torch.tensor([[[False] * 4, [False, True, True, False]]])
    task = problem(4, group=2, visibility=Visibility(valid=valid, own=False)).to(dtype)
    got = read(kind, task)
    assert torch.isneginf(got.lse[:, :2]).all()
    assert not got.output[:, :2].any()
    assert got.lse[:, 2:].isfinite().all()
    assert got.output[:, 2:].any(-1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_reads_a_float32_lse(kind: str) -> None:
    task = problem(5, 3, group=7, head_dim=80).to(torch.bfloat16)
    got, exact = read(kind, task), read("plain", task.to(torch.float64))
    assert got.lse.dtype == torch.float32
    torch.testing.assert_close(got.lse.double(), exact.lse, atol=1e-5, rtol=0)


def test_nothing_adds_nothing() -> None:
    some = Reading(torch.arange(6.0).view(1, 1, 2, 3), torch.tensor([[[-3e4, 7.0]]]))
    for pair in ((some, NOTHING), (NOTHING, some)):
        for got, expected in zip(merged(*pair), some, strict=True):
            torch.testing.assert_close(got, expected, atol=0, rtol=0)
    for got, expected in zip(merged(NOTHING, NOTHING), NOTHING, strict=True):
        torch.testing.assert_close(got, expected, atol=0, rtol=0)


@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3), st.integers(0, 99))
def test_the_order_of_merging_does_not_matter(sums: list[float], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second, third = (
        Reading(torch.randn(1, 1, 1, 3, generator=generator).double(), torch.tensor([[[lse]]]))
        for lse in torch.tensor(sums).double().tolist()
    )
    left = merged(merged(first, second), third)
    right = merged(third, merged(second, first))
    torch.testing.assert_close(left.output, right.output, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(left.lse, right.lse, atol=0, rtol=1e-6)
