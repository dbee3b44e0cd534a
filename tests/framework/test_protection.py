"""Protecting wrappers: inside a budget, on top of other memories, and what cannot be protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FullMemory,
    ProtectingMemory,
    ScoringMemory,
    Slots,
    VideoSession,
    WrappedMemory,
    WrappedRankingMemory,
    close_gaps,
    next_position,
)

from .streams import frames, pushed


@dataclass(frozen=True)
class First(ProtectingMemory):
    def chosen(self, slots: Slots) -> Tensor:
        return (slots.index < self.tokens) | (slots.frame < self.frames)

    def most(self, frame_tokens: int) -> int:
        return self.tokens + self.frames * frame_tokens


@dataclass(frozen=True)
class Newest(ScoringMemory):
    graphable = True

    def score(self, slots: Slots) -> Tensor:
        return slots.index


@dataclass(frozen=True)
class EveryThird(CrossFrameMemory):
    """Does not rank; notes what it saw on the slots and on the layer."""

    def update(self, slots: Slots) -> Slots:
        slots.stats["seen"] = slots.stats.get("seen", torch.zeros_like(slots.index)) + 1
        rows = torch.arange(0, slots.num_slots, 3)
        counted = slots.state.get("steps", torch.zeros(1)) + 1
        return replace(slots.keep(rows), state={"steps": counted})

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return 40


@dataclass(frozen=True)
class LastLayerOnly(CrossFrameMemory):
    """Decides over all layers at once."""

    def update(self, slots: Slots) -> Slots:
        raise AssertionError("asked for a single layer")

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        return [*(slots.keep(torch.arange(0)) for slots in layers[:-1]), layers[-1]]


def held(session: VideoSession, layer: int = 0) -> list[int]:
    return session.slots(layer).index[0, 1].tolist()


def test_around_a_ranking_memory_protection_counts_inside_the_budget() -> None:
    memory = First(Newest(4), tokens=2)
    assert held(pushed(memory, 3, 3, 3)) == [0, 1, 7, 8]
    assert memory.limit(0, 1, 3) == memory.budget(0, 1) == 4


@dataclass(frozen=True)
class Doubled(WrappedRankingMemory):
    def score(self, slots: Slots) -> Tensor:
        return self.inner.score(slots) * 2.0


def test_it_may_stand_anywhere_among_ranking_wrappers() -> None:
    for memory in (Doubled(First(Newest(4), tokens=2)), First(Doubled(Newest(4)), tokens=2)):
        assert held(pushed(memory, 3, 3, 3)) == [0, 1, 7, 8]


def test_around_any_other_memory_protection_comes_on_top() -> None:
    memory = First(EveryThird(), tokens=2, frames=1)
    session = pushed(memory, 3, 3, 3)
    # Seen at the end: 0 1 2 | 3 | 6 7 8; of those the inner memory keeps places 0, 3 and 6.
    assert held(session) == [0, 1, 2, 3, 8]
    assert memory.limit(0, 1, 3) == 40 + 2 + 3
    assert memory.reach(3) is None
    # 0 to 2 were seen in every step, also where the inner memory evicted them.
    assert session.slots(0).stats["seen"][0, 1].tolist() == [3, 3, 3, 2, 1]
    assert session.slots(0).state["steps"] == 3


def test_on_top_of_a_near_window_protected_slots_stand_far() -> None:
    @dataclass(frozen=True)
    class Near(EveryThird):
        def reach(self, frame_tokens: int) -> int | None:
            return 2 * frame_tokens

    assert First(Near(), tokens=2).reach(3) is None

    @dataclass(frozen=True)
    class Placed(Newest):
        def reach(self, frame_tokens: int) -> int | None:
            return self.capacity

    assert First(Placed(4), tokens=2).reach(3) == 4


def test_memories_that_look_at_all_layers_are_asked_for_all_layers() -> None:
    session = pushed(First(LastLayerOnly(), tokens=2), 3, 3)
    assert held(session, 0) == [0, 1]
    assert held(session, 1) == [0, 1, 2, 3, 4, 5]


def test_nothing_changes_around_a_memory_that_keeps_all() -> None:
    memory = First(FullMemory(), tokens=2)
    assert held(pushed(memory, 3, 3)) == [0, 1, 2, 3, 4, 5]
    assert memory.limit(0, 1, 3) is None


def test_what_ranks_is_told_to_wrappers_outside() -> None:
    assert First(Newest(4), tokens=2).ranks_alone
    assert First(Newest(4), tokens=2).keeps_highest
    with pytest.raises(ValueError, match="Doubled changes how slots are ranked, but First"):
        Doubled(First(EveryThird(), tokens=2))


def test_protecting_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="First protects nothing: give one of tokens, frames"):
        First(Newest(4))
    with pytest.raises(ValueError, match="First: frames must be an integer of at least 0, got -1"):
        First(Newest(4), frames=-1)


def test_more_tokens_than_a_budget_are_refused_at_construction() -> None:
    with pytest.raises(
        ValueError,
        match=r"First: 5 protected slots do not fit into the budget of 4 in one layer; raise the "
        r"capacity of Newest\(capacity=4\) or protect less",
    ):
        First(Newest(4), tokens=5)
    with pytest.raises(ValueError, match="First: 5 protected slots do not fit"):
        First(Doubled(First(Newest(4), tokens=2)), tokens=3)


def test_more_frames_than_a_budget_are_refused_by_the_push_that_brings_them() -> None:
    session = pushed(First(Newest(4), frames=2), 2)
    with pytest.raises(ValueError, match=r"5 protected slots do not .* of 4 in layer 0 of 2"):
        session.push(frames(3)[0])
    assert held(session) == [0, 1]


def test_padding_of_ragged_heads_takes_no_room() -> None:
    slots = pushed(FullMemory(), 3, 3).slots(0)
    ragged = slots.keep(torch.tensor([[True] * 6, [*[False] * 5, True]]))
    kept = First(Newest(4), tokens=1, frames=1).update(ragged)
    assert kept.index[0].clamp(min=-1).tolist() == [[0, 1, 2, 5], [-1, -1, -1, 5]]


def test_slots_protected_inside_count_too() -> None:
    @dataclass(frozen=True)
    class KeepsLast(Newest):
        def protected(self, slots: Slots) -> Tensor:
            return slots.index >= slots.index[..., -1:] - 2

    with pytest.raises(ValueError, match="5 protected slots do not fit into the budget of 4"):
        pushed(First(KeepsLast(4), tokens=2), 3, 3)


def test_merging_memories_are_refused_on_top() -> None:
    class Merging(EveryThird):
        merges = True

    with pytest.raises(ValueError, match=r"merges slots, which cannot be joined .* only selects"):
        First(Merging(), tokens=2)


def test_memories_that_place_slots_anew_are_refused_on_top() -> None:
    class Placing(EveryThird):
        def update(self, slots: Slots) -> Slots:
            return close_gaps(super().update(slots), next_position(slots))

    with pytest.raises(ValueError, match=r"places slots anew, .* change positions outside"):
        pushed(First(Placing(), tokens=2), 3)

    @dataclass(frozen=True)
    class PlacingOutside(WrappedMemory):
        def update(self, slots: Slots) -> Slots:
            return close_gaps(self.inner.update(slots), next_position(slots))

    assert held(pushed(PlacingOutside(First(EveryThird(), tokens=2)), 3, 3, 3)) == [0, 1, 6]


@pytest.mark.parametrize(
    ("memory", "graphable"),
    [
        (First(Newest(4), tokens=2), True),
        (Doubled(First(Doubled(Newest(4)), tokens=2)), True),
        (First(First(Newest(4), tokens=1), tokens=2), False),
        (First(Newest(40), frames=2), False),
        (First(FullMemory(), tokens=2), False),
    ],
    ids=repr,
)
def test_counting_on_the_host_is_not_graphable(memory: Any, graphable: bool) -> None:
    assert memory.graphable == graphable
