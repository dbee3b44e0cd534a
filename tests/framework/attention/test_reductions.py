"""Memories that ask for reductions of a step's weights: what reaches them, and what it costs."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    REDUCTIONS,
    DecoderSpec,
    ProtectingMemory,
    ScoringMemory,
    Slots,
    VideoSession,
    WeightReductions,
    output_change,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing import check_memory
from crossframe.methods import ProtectedSinks, QueryRows


@dataclass(frozen=True)
class PeakMemory(ScoringMemory):
    """Keeps the slots that some query looked at hardest."""

    reductions = ("max",)

    def score(self, slots: Slots) -> Tensor:
        return slots.reduced["max"]


@dataclass(frozen=True)
class SquaresMemory(ScoringMemory):
    reductions = ("squares",)

    def score(self, slots: Slots) -> Tensor:
        assert slots.mass is None, "only what was asked for is computed"
        return slots.reduced["squares"]


@dataclass(frozen=True)
class ChangeMemory(ScoringMemory):
    reductions = ("output_change",)

    def score(self, slots: Slots) -> Tensor:
        return slots.reduced["output_change"]


@pytest.mark.parametrize("kind", [PeakMemory, SquaresMemory, ChangeMemory])
def test_a_memory_of_reductions_obeys_the_laws(kind: type[ScoringMemory]) -> None:
    check_memory(kind(capacity=5), unbounded=kind(None), max_examples=2)


def test_wrappers_pass_on_what_the_memory_inside_asks_for() -> None:
    memory: ProtectingMemory = ProtectedSinks(PeakMemory(8), tokens=2)
    assert memory.reductions == ("max",)
    assert memory.looks_at_weights and not memory.needs_mass
    check_memory(memory, max_examples=2)


def test_query_rows_reduces_the_chosen_rows_alone() -> None:
    weights = torch.rand(1, 2, 3, 4, 5)
    slots = _slots(weights)
    memory = QueryRows(PeakMemory(2), rows=2)
    assert not memory.looks_at_weights
    expected = weights[..., -2:, :].amax((2, 3))
    torch.testing.assert_close(memory.score(slots), expected)


def test_reductions_are_kept_with_their_slots_until_the_step_ends() -> None:
    slots = replace(_slots(torch.rand(1, 2, 3, 4, 5)), reduced={"max": torch.rand(1, 2, 5)})
    kept = slots.keep(torch.tensor([1, 4]))
    torch.testing.assert_close(kept.reduced["max"], slots.reduced["max"][..., [1, 4]])
    assert not kept.settled().reduced
    ragged = slots.keep(torch.tensor([[[1, 1, 1, 1, 1], [0, 0, 1, 0, 1]]], dtype=torch.bool))
    assert not ragged.reduced["max"][0, 1, :3].any(), "padding receives nothing"


def test_a_sum_beside_a_maximum_in_any_number_of_chunks() -> None:
    weights = torch.rand(2, 3, 12, 5).double().softmax(-1)
    values = torch.rand(2, 3, 5, 8).double()
    received = WeightReductions(REDUCTIONS, True, values)
    for chunk in weights.split(5, 2):
        received.add(chunk)
    assert received.mass is not None
    torch.testing.assert_close(received.mass, weights.sum(2))
    torch.testing.assert_close(received.reduced["max"], weights.amax(2))
    torch.testing.assert_close(received.reduced["squares"], weights.square().sum(2))
    torch.testing.assert_close(
        received.reduced["output_change"], output_change(weights, values).sum(2)
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_output_changes_by_what_it_is_without_the_slot(dtype: torch.dtype) -> None:
    values = torch.randn(6, 4, dtype=dtype)
    weights = torch.randn(8, 6, dtype=dtype).mul(3).softmax(-1)
    weights[0] = torch.tensor([1.0, 0, 0, 0, 0, 0])  # sees one slot alone
    change = output_change(weights, values)
    for row in range(8):
        for slot in range(6):
            others = weights[row].clone()
            others[slot] = 0
            left = others.sum()
            without = others @ values / left if left > 0 else torch.zeros(4, dtype=dtype)
            expected = (weights[row] @ values - without).norm()
            torch.testing.assert_close(change[row, slot], expected, rtol=2e-3, atol=1e-5)


def test_a_sink_that_takes_nearly_all_loses_no_more_than_the_output() -> None:
    values = torch.tensor([[1.0, 2.0], [100.0, 0.0]])
    for share in (1e-3, 1e-5, 1e-7):
        weights = torch.tensor([[1 - share, share]])
        change = output_change(weights, values)[0, 0]
        assert change < 1.01 * (values[1] - values[0]).norm() and bool(change.isfinite())


@pytest.mark.parametrize("share", [0.1, 1e-2, 1e-3, 2e-4])
def test_what_a_sink_with_nearly_all_weight_changes_is_exact(share: float) -> None:
    """Squared distances alone lose all digits of it in float32: 4 % at .992, all at .9996."""
    values = torch.randn(50, 16, 64, generator=torch.Generator().manual_seed(0))
    weights = torch.full((50, 3, 16), share / 15)
    weights[..., 4] = 1 - share
    others = values[:, [slot for slot in range(16) if slot != 4]].double().mean(1)
    expected = (1 - share) * (others - values[:, 4].double()).norm(dim=-1)
    change = output_change(weights, values)[..., 4].double()
    torch.testing.assert_close(change, expected[:, None].expand(-1, 3), rtol=1e-3, atol=0)


@dataclass(frozen=True)
class AboveMeanMemory(ScoringMemory):
    """Keeps values far from a running mean, which is a state of the layer."""

    def score(self, slots: Slots) -> Tensor:
        now = slots.values.mean(2, keepdim=True)
        slots.state["mean"] = (slots.state.get("mean", now) + now) / 2
        return (slots.values - slots.state["mean"]).norm(dim=-1)


def test_a_score_may_keep_a_state_of_its_layer() -> None:
    check_memory(AboveMeanMemory(5), unbounded=AboveMeanMemory(None), max_examples=5)


def test_an_unknown_reduction_is_refused_when_the_session_opens() -> None:
    @dataclass(frozen=True)
    class Median(ScoringMemory):
        reductions = ("median",)

        def score(self, slots: Slots) -> Tensor:
            return slots.reduced["median"]

    with pytest.raises(
        ValueError, match=r"Median: reductions must be of \('max', .*\), got 'median'"
    ):
        VideoSession(ReferenceDecoder(DecoderSpec(2, 24, 32, 2, 1, 8, 31)), Median(4))


def _slots(weights: Tensor) -> Slots:
    """A step of all its own tokens, whose weights [B, K, G, T, S] are given."""
    batch, heads, _, new, count = weights.shape
    numbers = torch.arange(count).expand(batch, heads, -1)
    rows = torch.rand(batch, heads, count, 4)
    return Slots(
        keys=rows,
        values=rows,
        index=numbers,
        frame=numbers,
        visual=torch.ones_like(numbers, dtype=torch.bool),
        positions=numbers[None],
        num_new=new,
        weigh=lambda chosen: weights[..., chosen, :],
    )
