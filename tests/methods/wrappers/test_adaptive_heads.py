"""Adaptive head budgets against plain loops, and the bytes that they really hold."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from crossframe.framework import ScoringMemory, Slots
from crossframe.framework.stream.costs import held_bytes
from crossframe.methods import (
    AdaptiveHeadBudgets,
    KnormMemory,
    ProtectedRecent,
    ProtectedSinks,
    RecencyMemory,
    SinksAndRecentMemory,
    StateKVMemory,
)

from ..loops import LoopHead


def minus_norm(head) -> list[float]:
    return [-(sum(x * x for x in slot.key) ** 0.5) for slot in head.slots]


def flat_top(heads, scores: list[list[float]], count: int) -> list[set[int]]:
    """The places of the highest scores over all heads; ties to the newer, then the earlier head."""
    ranked = sorted(
        (score, heads[h].slots[place].number, -h, place)
        for h, numbers in enumerate(scores)
        for place, score in enumerate(numbers)
    )
    top = [set[int]() for _ in heads]
    for _, _, minus_head, place in ranked[max(len(ranked) - count, 0) :]:
        top[-minus_head].add(place)
    return top


# Norms are negative scores, below those of zeros: padding must not win by its.
INNERS = [(StateKVMemory(10), LoopHead.mass), (KnormMemory(10), minus_norm)]
FLOORS = {0.0: 0, 0.2: 2, 0.29: 2, 0.5: 5, 0.7: 7, 1.0: 10}


@pytest.mark.parametrize(("inner", "score_of"), INNERS)
@pytest.mark.parametrize("floor", FLOORS)
def test_kept_slots_equal_those_of_the_release(equals_loops, best, inner, floor, score_of) -> None:
    def rule(heads):
        scores = [score_of(head) for head in heads]
        room = 10 * len(heads)
        if sum(map(len, scores)) <= room:
            return [range(len(score)) for score in scores]
        worth = [len(top) for top in flat_top(heads, scores, room)]
        own = [round((1 - floor) * count + FLOORS[floor]) for count in worth]
        assert sum(own) <= room
        return [best(*pair) for pair in zip(scores, own, strict=True)]

    equals_loops(AdaptiveHeadBudgets(inner, floor), rule, ragged=True)


@pytest.mark.parametrize(("inner", "score_of"), INNERS)
@pytest.mark.parametrize("floor", FLOORS)
def test_kept_slots_equal_those_of_kvpress(equals_loops, best, inner, floor, score_of) -> None:
    def rule(heads):
        scores = [score_of(head) for head in heads]
        own = [set(best(score, FLOORS[floor])) for score in scores]
        first = [
            [float("inf") if place in kept else score for place, score in enumerate(numbers)]
            for kept, numbers in zip(own, scores, strict=True)
        ]
        return flat_top(heads, first, 10 * len(heads))

    equals_loops(AdaptiveHeadBudgets(inner, floor, "kvpress"), rule, ragged=True)


def one_prompt(heads: int, tokens: int, seed: int) -> Slots:
    """Slots of one step whose mass is concentrated in some heads more than in others."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.arange(tokens).expand(1, heads, tokens)
    sharp = 4 * torch.rand(heads, 1, generator=generator)
    return Slots(
        keys=torch.zeros(1, heads, tokens, 2),
        values=torch.zeros(1, heads, tokens, 2),
        index=index,
        frame=torch.zeros_like(index),
        visual=index >= 0,
        positions=index[None],
        mass=(sharp * torch.randn(1, heads, tokens, generator=generator)).softmax(-1),
        num_new=tokens,
    )


def released_budgets(masses: list[list[float]], capacity: int, floor: float) -> list[int]:
    """What the release gives each head of a prompt, rounded head by head."""
    ranked = sorted((mass, h) for h, numbers in enumerate(masses) for mass in numbers)
    worth = [0] * len(masses)
    for _, head in ranked[-capacity * len(masses) :]:
        worth[head] += 1
    return [round((1 - floor) * count + int(floor * capacity)) for count in worth]


@pytest.mark.parametrize("window", [0, 5])
@pytest.mark.parametrize("capacity", [20, 25])
@pytest.mark.parametrize("floor", [0.0, 0.2, 0.25, 0.5, 0.58, 1.0])
def test_a_prompt_is_compressed_as_in_the_release(best, window, capacity, floor) -> None:
    ranking = StateKVMemory(capacity)
    inner = ProtectedRecent(ranking, tokens=window) if window else ranking
    room, over = 8 * (capacity - window), 0
    for seed in range(30):
        slots = one_prompt(8, 64, seed)
        kept = AdaptiveHeadBudgets(inner, floor).update(slots)
        assert slots.mass is not None
        masses = slots.mass[0, :, : 64 - window].tolist()
        own = released_budgets(masses, capacity - window, floor)
        chosen = [
            (mass_of[place], head, place)
            for head, mass_of in enumerate(masses)
            for place in best(mass_of, own[head])
        ]
        assert len(chosen) > room - 1.5 * 8
        over += len(chosen) > room
        # What is released exceeds the layer now and then: then the lowest leave.
        expected = [list(range(64 - window, 64)) for _ in range(8)]
        for _, head, place in sorted(chosen)[-room:]:
            expected[head].append(place)
        got = [[n for n in row if n >= 0] for row in kept.index[0].tolist()]
        assert got == [sorted(places) for places in expected]
    # Where the even share is whole, rounding up is as frequent as rounding down.
    assert (over > 3) == (floor * (capacity - window) % 1 == 0 and 0 < floor < 1)


@dataclass(frozen=True)
class MoreProtectedThanItsShare(ScoringMemory):
    def score(self, slots: Slots) -> Tensor:
        assert slots.mass is not None
        return slots.mass

    def protected(self, slots: Slots) -> Tensor:
        return slots.index < 7 - 6 * torch.arange(slots.index.shape[1])[:, None]


def test_a_head_may_protect_more_than_its_share() -> None:
    # 7, 1, 0 and 0 slots of 4 x 4 are protected.
    kept = AdaptiveHeadBudgets(MoreProtectedThanItsShare(4), 0.9).update(one_prompt(4, 20, seed=0))
    assert set(range(7)) <= set(kept.index[0, 0].tolist())
    assert 0 in kept.index[0, 1].tolist()
    assert (kept.index >= 0).sum() <= 16


def test_a_floor_moves_slots_that_a_least_number_does_not() -> None:
    slots = one_prompt(8, 4096, seed=1)
    flat, released, kvpress = (
        (AdaptiveHeadBudgets(StateKVMemory(512), floor, rule).update(slots).index >= 0).sum(-1)
        for floor, rule in ((0.0, "ada-kv"), (0.2, "ada-kv"), (0.2, "kvpress"))
    )
    assert flat.min() > 0.2 * 512
    assert torch.equal(kvpress, flat)
    assert (released - flat).abs().max() > 40


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
        held, places = held_bytes(dict(stored.tensors()).values()), 2 * 2 * 28
        assert held == 2 * 32 * (2 * 8 * 8 + 3 * 8 + 1) + places
        assert held < 0.6 * held_bytes(dict(slots.tensors()).values())


@pytest.mark.parametrize(("rule", "expected"), [("ada-kv", [61, 37]), ("kvpress", [72, 28])])
def test_a_share_is_rounded_down_as_released(frames, open_session, rule, expected) -> None:
    # 0.58 x 50 is 28.999999999999996.
    session = open_session(AdaptiveHeadBudgets(FirstHeadWins(50), 0.58, rule))
    session.push(frames(*[20] * 5))
    assert (session.slots(0).index >= 0).sum(-1).tolist() == [expected]


def test_nothing_is_dropped_before_the_layer_is_full(frames, open_session) -> None:
    session = open_session(AdaptiveHeadBudgets(StateKVMemory(8)))
    session.push(frames(3, 5))
    assert session.slots(0).num_slots == 8
    assert session.slots(0).valid is None


def test_a_memory_of_kept_positions_is_wrapped() -> None:
    assert AdaptiveHeadBudgets(SinksAndRecentMemory(5)).budget(0, 1) == 5


def test_counting_slots_on_the_host_is_not_graphable() -> None:
    assert not AdaptiveHeadBudgets(StateKVMemory(5)).graphable
