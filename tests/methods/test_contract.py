"""Every memory against every law."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from crossframe import methods
from crossframe.framework import (
    CrossFrameMemory,
    ProtectingMemory,
    ScoringMemory,
    Slots,
    WrappedRankingMemory,
)
from crossframe.framework.testing import LAWS, check_law, memory_machine
from crossframe.methods import (
    ContiguousPositions,
    CoverageMemory,
    FullMemory,
    H2OMemory,
    InfiniPotVMemory,
    IsolatedFramesMemory,
    KeyDiffMemory,
    KnormMemory,
    LagKVMemory,
    MergedEvictions,
    PredictedChangeMemory,
    RandomMemory,
    RecencyMemory,
    ReservoirMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    SnapKVMemory,
    StateKVMemory,
    StreamMemMemory,
    TokenDroppingMemory,
    TOVAMemory,
    UniformMemory,
    ValueNormMemory,
    WeightStatisticMemory,
)

# Each with the same rule unbounded, where it has one.
MEMORIES: list[tuple[CrossFrameMemory, CrossFrameMemory | None]] = [
    (FullMemory(), FullMemory()),
    (IsolatedFramesMemory(), None),
    (CoverageMemory(5), CoverageMemory(None)),
    (CoverageMemory(0), CoverageMemory(1000)),
    (InfiniPotVMemory(5), InfiniPotVMemory(None)),
    (InfiniPotVMemory(7, 0.5, 0.8, pooling=True), InfiniPotVMemory(1000)),
    (H2OMemory(6), H2OMemory(None)),
    (H2OMemory(5, recent=1, normalise="age"), H2OMemory(1000, normalise="age")),
    (KeyDiffMemory(5), KeyDiffMemory(None)),
    (KnormMemory(5), KnormMemory(None)),
    (LagKVMemory(8, lag=2, num_sinks=2), LagKVMemory(None)),
    (LagKVMemory(7, lag=3, num_sinks=0, cross_scoring=True), LagKVMemory(1000, lag=2)),
    (MergedEvictions(StateKVMemory(5), 0.2), MergedEvictions(StateKVMemory(None), 0.2)),
    (MergedEvictions(SlidingWindowMemory(2), -1.0), MergedEvictions(FullMemory(), -1.0)),
    (PredictedChangeMemory(6), PredictedChangeMemory(None)),
    (RandomMemory(4), RandomMemory(None)),
    (RecencyMemory(3), RecencyMemory(None)),
    (RecencyMemory(1000), RecencyMemory(1000)),
    (ReservoirMemory(4), ReservoirMemory(None)),
    (SinksAndRecentMemory(6), SinksAndRecentMemory(None)),
    (SlidingWindowMemory(2), SlidingWindowMemory(None)),
    (SlidingWindowMemory(0), SlidingWindowMemory(1000)),
    (SnapKVMemory(5, observation_window=2, kernel=3), SnapKVMemory(None)),
    (SnapKVMemory(5, 2, 3, pooling="avg"), SnapKVMemory(None, pooling="avg")),
    (StateKVMemory(5), StateKVMemory(None)),
    (StateKVMemory(0), StateKVMemory(1000)),
    (StreamMemMemory(5, (3, 0, 7)), StreamMemMemory(None, (3, 0, 7))),
    (StreamMemMemory(2, (1,)), StreamMemMemory(1000, (1,))),
    (TOVAMemory(5), TOVAMemory(None)),
    (TOVAMemory(0, rows=3), TOVAMemory(1000, rows=3)),
    (TokenDroppingMemory(ratio=0.5), TokenDroppingMemory(ratio=0.0)),
    (TokenDroppingMemory(StateKVMemory(4), ratio=0.3, rule="uniform"), None),
    (TokenDroppingMemory(ratio=0.3, rule="random"), None),
    (UniformMemory(5), UniformMemory(None)),
    (UniformMemory(5, unit="token"), UniformMemory(1000, unit="token")),
    (ValueNormMemory(5), ValueNormMemory(None)),
    (WeightStatisticMemory(5), WeightStatisticMemory(None)),
]


def _name(memory: CrossFrameMemory) -> str:
    return repr(memory).replace(" ", "")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("pair", MEMORIES, ids=lambda pair: _name(pair[0]))
def test_law(law: str, pair: tuple[CrossFrameMemory, CrossFrameMemory | None]) -> None:
    memory, unbounded = pair
    check_law(law, memory, unbounded=unbounded, max_examples=8)


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("memory", [pair[0] for pair in MEMORIES], ids=_name)
def test_rows_of_a_batch_keep_what_they_keep_alone(rows_keep_as_alone, memory, repeated) -> None:
    for float_type in (torch.float32, torch.float64):
        rows_keep_as_alone(memory, float_type, repeated=repeated)


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


def test_every_memory_is_held_to_the_laws() -> None:
    # Wrappers that compose with each other have test_wrappers_contract.py.
    composing = (WrappedRankingMemory, ProtectingMemory, ContiguousPositions)
    exported = [kind for kind in vars(methods).values() if isinstance(kind, type)]
    memories = {kind for kind in exported if issubclass(kind, CrossFrameMemory)}
    tested = {type(memory) for memory, _ in MEMORIES}
    assert tested == {kind for kind in memories if not issubclass(kind, composing)}


TestStateKV = memory_machine(StateKVMemory(4), max_examples=8).TestCase
TestDropping = memory_machine(
    TokenDroppingMemory(StateKVMemory(4), ratio=0.5), max_examples=8
).TestCase
TestSlidingWindow = memory_machine(SlidingWindowMemory(1), max_examples=8).TestCase
