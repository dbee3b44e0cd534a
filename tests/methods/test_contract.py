"""Every memory against every law."""

from __future__ import annotations

import pytest

from crossframe import methods
from crossframe.framework import CrossFrameMemory
from crossframe.framework.testing import LAWS, check_law, memory_machine
from crossframe.methods import (
    FullMemory,
    IsolatedFramesMemory,
    RandomMemory,
    RecencyMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

# Each with the same rule unbounded, where it has one.
MEMORIES: list[tuple[CrossFrameMemory, CrossFrameMemory | None]] = [
    (FullMemory(), FullMemory()),
    (IsolatedFramesMemory(), None),
    (RandomMemory(4), RandomMemory(None)),
    (RecencyMemory(3), RecencyMemory(None)),
    (RecencyMemory(1000), RecencyMemory(1000)),
    (SinksAndRecentMemory(6), SinksAndRecentMemory(None)),
    (SlidingWindowMemory(2), SlidingWindowMemory(None)),
    (SlidingWindowMemory(0), SlidingWindowMemory(1000)),
    (StateKVMemory(5), StateKVMemory(None)),
    (StateKVMemory(0), StateKVMemory(1000)),
    (TokenDroppingMemory(ratio=0.5), TokenDroppingMemory(ratio=0.0)),
    (TokenDroppingMemory(StateKVMemory(4), ratio=0.3, rule="uniform"), None),
    (TokenDroppingMemory(ratio=0.3, rule="random"), None),
]


def _name(memory: CrossFrameMemory) -> str:
    return repr(memory).replace(" ", "")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("pair", MEMORIES, ids=lambda pair: _name(pair[0]))
def test_law(law: str, pair: tuple[CrossFrameMemory, CrossFrameMemory | None]) -> None:
    memory, unbounded = pair
    check_law(law, memory, unbounded=unbounded, max_examples=8)


@pytest.mark.parametrize("law", LAWS)
def test_law_of_dropping_by_threshold(law: str) -> None:
    # Rows of a batch may drop different counts by threshold, which is an error: batch 1.
    memory = TokenDroppingMemory(StateKVMemory(4), threshold=0.1)
    unbounded = TokenDroppingMemory(threshold=1.0)
    check_law(law, memory, unbounded=unbounded, max_batch=1, max_examples=8)


def test_every_memory_is_held_to_the_laws() -> None:
    tested = {type(memory).__name__ for memory, _ in MEMORIES}
    assert tested == set(methods.__all__)


TestStateKV = memory_machine(StateKVMemory(4), max_examples=8).TestCase
TestDropping = memory_machine(
    TokenDroppingMemory(StateKVMemory(4), ratio=0.5), max_examples=8
).TestCase
TestSlidingWindow = memory_machine(SlidingWindowMemory(1), max_examples=8).TestCase
