"""The contract's base classes: scoring, wrapping, the order of ties, refused settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    ScoringMemory,
    Slots,
    WrappedMemory,
    require_count,
    require_one_of,
    top_slots,
)

from .streams import slots as make

SCORES = st.sampled_from([-1.5, 0.0, 1.0, 2.0, float("inf"), float("-inf")])


@dataclass(frozen=True)
class Ranked(ScoringMemory):
    """Scores by a fixed list, and counts how often it is asked."""

    scores: tuple[float, ...] = ()
    calls: list[int] = field(default_factory=list)

    def score(self, slots: Slots) -> Tensor:
        self.calls.append(slots.num_slots)
        slots.stats["seen"] = torch.ones_like(slots.index)
        return torch.tensor(self.scores[: slots.num_slots]).expand(slots.index.shape)


@dataclass(frozen=True)
class Pyramid(Ranked):
    """Deeper layers keep less."""

    def budget(self, layer: int, num_layers: int) -> int | None:
        return num_layers - layer


@given(st.lists(SCORES, min_size=1, max_size=12), st.integers(0, 14))
def test_the_highest_scores_are_chosen_and_ties_go_to_the_newer(
    scores: list[float], count: int
) -> None:
    ranked = sorted(range(len(scores)), key=lambda slot: (scores[slot], slot), reverse=True)
    chosen = top_slots(torch.tensor(scores), count)
    assert chosen.tolist() == sorted(ranked[:count])


@given(st.lists(st.integers(0, 2), min_size=24, max_size=24), st.integers(0, 4))
def test_every_row_is_ranked_alone(scores: list[int], count: int) -> None:
    rows = torch.tensor(scores).view(2, 3, 4)
    chosen = top_slots(rows, count)
    for row in range(2):
        for head in range(3):
            assert torch.equal(chosen[row, head], top_slots(rows[row, head], count))


def test_a_scoring_memory_keeps_the_best_in_stream_order() -> None:
    kept = Ranked(3, (0.5, 2.0, 0.5, 1.0, 0.5)).update(make(5))
    assert kept.index.tolist() == [[[1, 3, 4]] * 2]
    assert kept.num_slots == 3


@pytest.mark.parametrize("capacity", [None, 0, 2, 4, 5, 99])
def test_the_score_is_asked_exactly_once_per_update(capacity: int | None) -> None:
    memory = Ranked(capacity, (1.0,) * 4)
    kept = memory.update(make(4))
    assert memory.calls == [4]
    assert kept.num_slots == min(4, 4 if capacity is None else capacity)
    assert kept.stats["seen"].shape == kept.index.shape, "stats written by score travel on"


def test_budgets_may_differ_by_layer() -> None:
    memory = Pyramid(99, (0.0, 1.0, 2.0))
    kept = [memory.update(make(3, layer=layer, num_layers=3)).num_slots for layer in range(3)]
    assert kept == [3, 2, 1]
    assert [memory.limit(layer, 3, 7) for layer in range(3)] == [3, 2, 1]
    assert Ranked(None).limit(0, 1, 7) is None


@pytest.mark.parametrize("capacity", [-1, 1.5, True, "4"])
def test_a_capacity_that_is_no_count_is_refused_by_name(capacity: Any) -> None:
    message = (
        "Ranked: capacity must be an integer of at least 0, or None for unbounded, "
        f"got {capacity!r}"
    )
    with pytest.raises(ValueError) as caught:
        Ranked(capacity)
    assert str(caught.value) == message


def test_a_count_may_have_to_be_positive_and_given() -> None:
    require_count("Window", "frames", 1, least=1, unbounded=False)
    for wrong in (0, None):
        with pytest.raises(ValueError, match=r"Window: frames must be .* at least 1, got"):
            require_count("Window", "frames", wrong, least=1, unbounded=False)


def test_a_choice_has_to_be_a_known_one() -> None:
    require_one_of("Window", "unit", "frame", ("frame", "token"))
    with pytest.raises(ValueError, match=r"Window: unit must be one of \('frame', .*, got 'slot'"):
        require_one_of("Window", "unit", "slot", ("frame", "token"))


def test_a_memory_may_be_written_with_update_alone() -> None:
    class Nothing(CrossFrameMemory):
        def update(self, slots: Slots) -> Slots:
            return slots.keep(torch.arange(0))

    memory, frame = Nothing(), FrameTokens(torch.zeros(1, 2, 3), torch.zeros(1, 1, 2))
    assert memory.admit(frame, None, {}) is frame
    assert [kept.num_slots for kept in memory.update_layers([make(2), make(3)])] == [0, 0]
    assert memory.limit(0, 1, 5) is None
    assert (memory.needs_mass, memory.merges, memory.graphable) == (False, False, False)


@dataclass(frozen=True)
class Everything(CrossFrameMemory):
    """Notes every call, and has all flags."""

    calls: list[str] = field(default_factory=list)
    needs_mass = True
    merges = True
    graphable = True

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        self.calls.append("admit")
        state["noted"] = torch.ones(1)
        return frame

    def update(self, slots: Slots) -> Slots:
        self.calls.append(f"update {slots.layer}")
        return slots

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        self.calls.append("update_layers")
        return super().update_layers(layers)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return 100 * layer + 10 * num_layers + frame_tokens


def test_a_wrapper_forwards_flags_and_calls() -> None:
    inner = Everything()
    memory = WrappedMemory(WrappedMemory(inner))
    assert (memory.needs_mass, memory.merges, memory.graphable) == (True, True, True)
    state: dict[str, Tensor] = {}
    frame = FrameTokens(torch.zeros(1, 2, 3), torch.zeros(1, 1, 2))
    assert memory.admit(frame, None, state) is frame
    assert list(state) == ["noted"]
    layers = [make(2, layer=layer) for layer in range(2)]
    assert list(memory.update_layers(layers)) == layers
    assert memory.update(layers[1]) is layers[1]
    assert inner.calls == ["admit", "update_layers", "update 0", "update 1", "update 1"]
    assert memory.limit(3, 2, 1) == 321


def test_a_wrapper_around_a_plain_memory_has_no_flags_but_its_own() -> None:
    class Meddling(WrappedMemory):
        needs_mass = True
        merges = True

    assert not WrappedMemory(Ranked(3)).needs_mass
    memory = Meddling(Ranked(3))
    assert (memory.needs_mass, memory.merges, memory.graphable) == (True, True, False)
    assert WrappedMemory(FullMemory()).graphable


def test_a_wrapper_with_an_update_of_its_own_sees_every_layer() -> None:
    @dataclass(frozen=True)
    class Dropping(WrappedMemory):
        def update(self, slots: Slots) -> Slots:
            return super().update(slots).keep(torch.arange(1, slots.num_slots))

    inner = Everything()
    kept = Dropping(inner).update_layers([make(3, layer=layer) for layer in range(2)])
    assert [slots.num_slots for slots in kept] == [2, 2]
    assert inner.calls == ["update 0", "update 1"]


@pytest.mark.parametrize("inner", [FullMemory, None, "full"])
def test_a_wrapper_around_something_else_is_refused(inner: Any) -> None:
    with pytest.raises(ValueError, match="WrappedMemory: inner must be a CrossFrameMemory inst"):
        WrappedMemory(inner)
