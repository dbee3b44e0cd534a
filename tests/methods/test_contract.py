"""Every memory and every wrapper, alone and nested, against every law."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from crossframe import methods
from crossframe.framework import (
    CrossFrameMemory,
    ProtectingMemory,
    ScoringMemory,
    Slots,
    WrappedRankingMemory,
    nested,
)
from crossframe.framework.testing import LAWS, check_law, memory_machine
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    ProtectedSinks,
    SlidingWindowMemory,
    SmoothedScore,
    StateKVMemory,
    TokenDroppingMemory,
)

from ..every import MEMORIES, NESTED, WRAPPERS, Pair, named

ALL = [*MEMORIES, *WRAPPERS, *NESTED]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("pair", ALL, ids=lambda pair: named(pair[0]))
def test_law(law: str, pair: Pair) -> None:
    memory, unbounded = pair
    # Beside the stream in which all happens that the laws look for.
    fresh = settings.get_current_profile_name() == "soak"
    check_law(law, memory, unbounded=unbounded, max_examples=10 if fresh else 1)


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("memory", [pair[0] for pair in ALL], ids=named)
def test_rows_of_a_batch_keep_what_they_keep_alone(rows_keep_as_alone, memory, repeated) -> None:
    rows_keep_as_alone(memory, torch.float32 if repeated else torch.float64, repeated=repeated)


@dataclass(frozen=True)
class OfTheBatch(ScoringMemory):
    """Looks at the other rows."""

    def score(self, slots: Slots) -> Tensor:
        return (slots.keys - slots.keys.mean(0)).norm(dim=-1)


def test_a_memory_that_looks_at_other_rows_is_found(rows_keep_as_alone) -> None:
    with pytest.raises(AssertionError):
        rows_keep_as_alone(OfTheBatch(5), torch.float64, repeated=False)


@pytest.mark.parametrize("law", LAWS)
def test_law_of_dropping_by_threshold(law: str) -> None:
    # Rows of a batch may drop different counts by threshold, which is an error: batch 1.
    memory = TokenDroppingMemory(StateKVMemory(4), threshold=0.1)
    unbounded = TokenDroppingMemory(threshold=1.0)
    check_law(law, memory, unbounded=unbounded, max_batch=1, max_examples=8)


def test_every_memory_and_every_wrapper_is_held_to_the_laws() -> None:
    # Those that compose with each other, each around two memories or more.
    composing = (WrappedRankingMemory, ProtectingMemory, ContiguousPositions)
    exported = [kind for kind in vars(methods).values() if isinstance(kind, type)]
    memories = {kind for kind in exported if issubclass(kind, CrossFrameMemory)}
    wrappers = {kind for kind in memories if issubclass(kind, composing)}
    assert {type(memory) for memory, _ in MEMORIES} == memories - wrappers
    assert {type(memory) for memory, _ in WRAPPERS} == wrappers
    for wrapper in wrappers:
        assert sum(type(memory) is wrapper for memory, _ in WRAPPERS) >= 2


def test_settings_of_nested_memories_are_seen_from_outside() -> None:
    memory = NESTED[0][0]
    kinds = [type(inside) for inside in nested(memory)]
    assert kinds == [AdaptiveHeadBudgets, ProtectedSinks, SmoothedScore, StateKVMemory]
    assert memory.needs_mass
    assert memory.limit(0, 1, 9) == 5


TestStateKV = memory_machine(StateKVMemory(4), max_examples=8).TestCase
TestDropping = memory_machine(
    TokenDroppingMemory(StateKVMemory(4), ratio=0.5), max_examples=8
).TestCase
TestSlidingWindow = memory_machine(SlidingWindowMemory(1), max_examples=8).TestCase
TestNested = memory_machine(NESTED[1][0], max_examples=6).TestCase
TestAdaptive = memory_machine(NESTED[0][0], max_examples=6).TestCase
