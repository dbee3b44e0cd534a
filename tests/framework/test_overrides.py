"""What a memory replaces is known from what it inherits, also where it declares nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    ProtectingMemory,
    RankingMemory,
    ScoringMemory,
    Slots,
    WrappedMemory,
    WrappedRankingMemory,
    standard,
)
from crossframe.framework.overrides import replaces
from crossframe.framework.testing.archive_laws import Newest

from .streams import pushed


class Dropping:
    """Mixed in: lets tokens in that differ from the previous frame, by its length."""

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        return frame if previous is None else frame.take(torch.arange(1))


class Mixed(Dropping, Newest):
    pass


@dataclass(frozen=True)
class Reduced(WrappedMemory):
    """Written with an update alone."""

    def update(self, slots: Slots) -> Slots:
        kept = self.inner.update(slots)
        return kept.keep(torch.arange(1, kept.num_slots))


@dataclass(frozen=True)
class Mirrored(Newest):
    """A function that says it is another one does not become it."""

    @wraps(ScoringMemory.select)
    def select(self, slots: Slots, score: Tensor) -> Slots:  # pyright: ignore[reportIncompatibleMethodOverride]
        return slots.keep(torch.arange(1))


@dataclass(frozen=True)
class Ahead(WrappedRankingMemory):
    """Forwards by another way, and declares so."""

    @standard
    def select(self, slots: Slots, score: Tensor) -> Slots:
        return super().select(slots, score)


@dataclass(frozen=True)
class First(ProtectingMemory):
    def chosen(self, slots: Slots) -> Tensor:
        return slots.index < self.tokens

    def most(self, frame_tokens: int) -> int:
        return self.tokens


@dataclass(frozen=True)
class FirstAndOdd(First):
    """Protects more than `chosen` says, as a ranking memory may."""

    def protected(self, slots: Slots) -> Tensor:
        return super().protected(slots) | (slots.index % 2 == 1)


@dataclass(frozen=True)
class Unranked(Newest):
    """Replaces the whole update."""

    def update(self, slots: Slots) -> Slots:
        return slots.keep(torch.arange(min(2, slots.num_slots)))


@dataclass(frozen=True)
class AllLayers(Newest):
    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        return [slots.keep(torch.arange(1)) for slots in layers]


def held(memory: CrossFrameMemory) -> list[int]:
    return pushed(memory, 3, 3, 3).slots(1).index[0, 0].tolist()


def test_what_is_inherited_is_standard_and_what_is_written_is_not() -> None:
    names = ("admit", "update", "update_layers", "protected", "select")
    memories: list[Any] = [Newest(4), WrappedRankingMemory(Newest(4)), Ahead(Newest(4))]
    for memory in memories:
        assert not [name for name in names if replaces(memory, name)], memory
    assert [name for name in names if replaces(Unranked(4), name)] == ["update"]
    assert replaces(FullMemory(), "update"), "the contract leaves it open"


def test_whatever_else_can_be_called_is_its_own() -> None:
    class Odd(Newest):
        select = len  # pyright: ignore[reportAssignmentType]

    assert replaces(Odd(4), "select")


def test_a_previous_frame_is_held_for_whoever_may_ask_for_it() -> None:
    assert Newest(4).admits_whole
    assert WrappedMemory(Reduced(Newest(4))).admits_whole
    assert not WrappedMemory(Mixed(4)).admits_whole
    session = pushed(Mixed(4), 3, 3)
    assert session.state.previous is not None
    assert session.slots(0).index[0, 0].tolist() == [0, 1, 2, 3]


def test_an_update_alone_is_asked_for_every_layer() -> None:
    assert held(Reduced(Newest(4))) == [6, 7, 8]
    assert held(WrappedMemory(Reduced(Newest(4)))) == [6, 7, 8]


def test_a_selection_of_its_own_is_not_taken_for_the_highest() -> None:
    assert not Mirrored(4).keeps_highest
    assert not WrappedRankingMemory(Mirrored(4)).keeps_highest
    assert not First(Mirrored(4), tokens=1).keeps_highest
    assert Ahead(Newest(4)).keeps_highest, "declared"


@pytest.mark.parametrize("inner", [Unranked(4), AllLayers(4)])
def test_a_ranking_that_is_replaced_is_not_changed_in_part(inner: RankingMemory) -> None:
    assert not inner.ranks_alone
    with pytest.raises(ValueError, match=r"does not decide by a ranking alone: wrap a ScoringMem"):
        WrappedRankingMemory(inner)


def test_protection_comes_on_top_of_a_ranking_that_is_replaced() -> None:
    assert held(First(Unranked(4), tokens=3)) == [0, 1, 2]
    assert held(First(AllLayers(4), tokens=3)) == [0, 1, 2]


def test_a_protecting_memory_may_be_changed_as_a_ranking_one() -> None:
    memory = FirstAndOdd(Newest(4), tokens=1)
    assert held(memory) == [1, 3, 5, 7]
    assert held(WrappedRankingMemory(memory)) == [1, 3, 5, 7]
    assert not First(memory, tokens=1).graphable


@dataclass(frozen=True)
class FirstButLast(First):
    """Protects, and then drops the last slot."""

    def update(self, slots: Slots) -> Slots:
        kept = super().update(slots)
        return kept.keep(torch.arange(kept.num_slots - 1))


def test_a_protecting_memory_with_an_update_of_its_own_is_asked_for_it() -> None:
    inside, on_top = FirstButLast(Newest(4), tokens=1), FirstButLast(Unranked(4), tokens=3)
    assert held(inside) == [0, 6, 7]
    assert held(on_top) == held(WrappedMemory(on_top)) == [0]
    with pytest.raises(ValueError, match=r"does not decide by a ranking alone"):
        WrappedRankingMemory(inside)
    assert held(First(inside, tokens=2)) == [0, 1, 6, 7]


def test_a_protecting_memory_with_a_selection_of_its_own_says_so() -> None:
    class Fewer(First):
        def select(self, slots: Slots, score: Tensor) -> Slots:
            return super().select(slots, score).keep(torch.arange(2))

    assert First(Newest(4), tokens=1).keeps_highest
    assert not Fewer(Newest(4), tokens=1).keeps_highest


def test_flags_that_are_no_flags_are_refused() -> None:
    @dataclass(frozen=True)
    class Misspelt(Newest):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.declare(need_mass=True)

    with pytest.raises(ValueError, match=r"Misspelt declares need_mass: known are \('needs_mass'"):
        Misspelt(4)


def test_a_wrapper_is_graphable_only_where_it_does_not_say_otherwise() -> None:
    class Reads(WrappedMemory):
        graphable = False

    assert not Reads(FullMemory()).graphable
    assert WrappedMemory(FullMemory()).graphable


def test_flags_set_in_the_way_of_old_still_count() -> None:
    @dataclass(frozen=True)
    class Old(Newest):
        def __post_init__(self) -> None:
            super().__post_init__()
            object.__setattr__(self, "needs_mass", True)

    assert WrappedMemory(Old(4)).needs_mass
