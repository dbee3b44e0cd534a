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


@pytest.mark.parametrize("kind", [PeakMemory, SquaresMemory])
def test_a_memory_of_reductions_obeys_the_laws(kind: type[ScoringMemory]) -> None:
    check_memory(kind(capacity=5), unbounded=kind(None), max_examples=10)


def test_wrappers_pass_on_what_the_memory_inside_asks_for() -> None:
    memory: ProtectingMemory = ProtectedSinks(PeakMemory(8), tokens=2)
    assert memory.reductions == ("max",)
    assert memory.looks_at_weights and not memory.needs_mass
    check_memory(memory, max_examples=5)


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
    weights, keys = torch.rand(2, 3, 12, 5), torch.zeros(2, 3, 5, 8, dtype=torch.float64)
    received = WeightReductions(REDUCTIONS, True, keys)
    for chunk in weights.double().split(5, 2):
        received.add(chunk)
    assert received.mass is not None
    torch.testing.assert_close(received.mass, weights.double().sum(2))
    torch.testing.assert_close(received.reduced["max"], weights.double().amax(2))
    torch.testing.assert_close(received.reduced["squares"], weights.double().square().sum(2))


def test_an_unknown_reduction_is_refused_when_the_session_opens() -> None:
    @dataclass(frozen=True)
    class Median(ScoringMemory):
        reductions = ("median",)

        def score(self, slots: Slots) -> Tensor:
            return slots.reduced["median"]

    with pytest.raises(
        ValueError, match=r"Median: reductions must be of \('max', 'squares'\), got 'median'"
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
