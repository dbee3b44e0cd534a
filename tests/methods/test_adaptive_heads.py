"""Adaptive head budgets against plain loops, and the bytes that they really hold."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from crossframe.framework import ScoringMemory, Slots
from crossframe.framework.costs import held_bytes
from crossframe.framework.state import slot_tensors
from crossframe.methods import (
    AdaptiveHeadBudgets,
    KnormMemory,
    ProtectedSinks,
    RecencyMemory,
    SinksAndRecentMemory,
    StateKVMemory,
)


def mass(head) -> list[float]:
    places = range(len(head.slots))
    return [sum(row[place] for group in head.weights for row in group) for place in places]


def minus_norm(head) -> list[float]:
    return [-(sum(x * x for x in slot.key) ** 0.5) for slot in head.slots]


# Norms are negative scores, below those of zeros: padding must not win by its.
@pytest.mark.parametrize(
    ("inner", "floor", "score_of"),
    [
        *((StateKVMemory(10), floor, mass) for floor in (0.0, 0.2, 0.5, 0.7, 1.0)),
        *((KnormMemory(10), floor, minus_norm) for floor in (0.0, 0.5)),
    ],
)
def test_kept_slots_equal_the_oracle(equals_loops, best, inner, floor, score_of) -> None:
    def rule(heads):
        own = {0.0: 0, 0.2: 2, 0.5: 5, 0.7: 7, 1.0: 10}[floor]
        scores = [score_of(head) for head in heads]
        kept = [set(best(score, own)) for score in scores]
        rest = [
            (score, heads[h].slots[place].number, -h, place)
            for h, numbers in enumerate(scores)
            for place, score in enumerate(numbers)
            if place not in kept[h]
        ]
        room = 10 * len(heads) - sum(map(len, kept))
        for _, _, minus_head, place in sorted(rest, reverse=True)[:room]:
            kept[-minus_head].add(place)
        return kept

    equals_loops(AdaptiveHeadBudgets(inner, floor), rule, ragged=True)


def test_heads_of_a_floor_of_one_are_all_alike(frames, open_session) -> None:
    plain = open_session(StateKVMemory(5))
    even = open_session(AdaptiveHeadBudgets(StateKVMemory(5), floor=1.0))
    for frame in frames(*[4] * 12):
        plain.push(frame)
        even.push(frame)
    assert torch.equal(plain.slots(1).index, even.slots(1).index)
    assert even.slots(1).valid is None


@dataclass(frozen=True)
class AllAlike(ScoringMemory):
    def score(self, slots: Slots) -> Tensor:
        return torch.zeros_like(slots.index)


def test_ties_go_to_the_newer_slot_whatever_head_it_is_in(frames, open_session) -> None:
    session = open_session(AdaptiveHeadBudgets(AllAlike(3), floor=0.0))
    session.push(frames(4, 4))
    assert session.slots(0).index[0].tolist() == [[5, 6, 7]] * 2


def test_protected_slots_are_the_highest_of_all_heads(frames, open_session) -> None:
    three = open_session(AdaptiveHeadBudgets(ProtectedSinks(RecencyMemory(3), tokens=2), floor=0.0))
    three.push(frames(4, 4))
    assert three.slots(0).index[0].tolist() == [[0, 1, 7]] * 2


@dataclass(frozen=True)
class FirstHeadWins(ScoringMemory):
    """Newest first, and any slot of the first head above all of the second."""

    def score(self, slots: Slots) -> Tensor:
        heads = torch.arange(slots.index.shape[1])[:, None]
        return slots.index - 10_000 * heads


def test_memory_is_really_freed(frames, open_session) -> None:
    session = open_session(AdaptiveHeadBudgets(FirstHeadWins(16), floor=0.25))
    for frame in frames(*[8] * 20, batch=2):
        session.push(frame)
    for layer, stored in enumerate(session.state.layers):
        slots = session.slots(layer)
        assert (slots.index >= 0).sum(-1).tolist() == [[28, 4]] * 2
        # Keys and values of 8 float64, index, frame and position, visual; a bool for every place.
        held, places = held_bytes(slot_tensors(stored)), 2 * 2 * 28
        assert held == 2 * 32 * (2 * 8 * 8 + 3 * 8 + 1) + places
        assert held < 0.6 * held_bytes(slot_tensors(slots))


def test_a_share_is_rounded_down_from_what_it_is_in_decimals(frames, open_session) -> None:
    session = open_session(AdaptiveHeadBudgets(FirstHeadWins(50), floor=0.58))
    session.push(frames(*[20] * 5))
    assert (session.slots(0).index >= 0).sum(-1).tolist() == [[71, 29]]


def test_nothing_is_dropped_before_the_layer_is_full(frames, open_session) -> None:
    session = open_session(AdaptiveHeadBudgets(StateKVMemory(8)))
    session.push(frames(3, 5))
    assert session.slots(0).num_slots == 8
    assert session.slots(0).valid is None


@pytest.mark.parametrize("floor", [-0.1, 1.5, float("nan")])
def test_a_floor_that_is_no_share_is_refused(floor) -> None:
    with pytest.raises(ValueError, match=r"floor is a share and must lie in \[0, 1\], got"):
        AdaptiveHeadBudgets(StateKVMemory(5), floor=floor)


def test_a_memory_that_selects_by_a_rule_of_its_own_is_refused() -> None:
    for inner in (
        AdaptiveHeadBudgets(StateKVMemory(5)),
        SinksAndRecentMemory(5, positions="contiguous"),
    ):
        with pytest.raises(ValueError, match=r"chooses slots itself, but .* change positions outs"):
            AdaptiveHeadBudgets(inner)
    assert AdaptiveHeadBudgets(SinksAndRecentMemory(5)).budget(0, 1) == 5


def test_counting_slots_on_the_host_is_not_graphable() -> None:
    assert not AdaptiveHeadBudgets(StateKVMemory(5)).graphable
