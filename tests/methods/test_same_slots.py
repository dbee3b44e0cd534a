"""Where two ways lead to one rule, the same slots are held after every frame."""

from __future__ import annotations

import pytest
import torch

from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    H2OMemory,
    InfiniPotVMemory,
    PredictedChangeMemory,
    ProtectedRecent,
    ProtectedSinks,
    QueryRows,
    RecencyMemory,
    ReservoirMemory,
    SinksAndRecentMemory,
    SmoothedScore,
    StateKVMemory,
    UniformMemory,
    ValueNormMemory,
    ValueWeighted,
    WeightStatisticMemory,
)

OWN_SINKS, NO_SINKS = SinksAndRecentMemory(7, num_sinks=3), SinksAndRecentMemory(7, num_sinks=0)
MOVED, STATEKV = SinksAndRecentMemory(6, positions="contiguous"), StateKVMemory(6)
SUMMED = SmoothedScore(StateKVMemory(8), "sum")


@pytest.mark.parametrize(
    ("one", "other", "sizes"),
    [
        (AdaptiveHeadBudgets(StateKVMemory(5), floor=1.0), StateKVMemory(5), [4] * 12),
        (ContiguousPositions(SinksAndRecentMemory(6)), MOVED, [2, 5, 1] * 5),
        (InfiniPotVMemory(7, recent_ratio=1.0, tar_share=1.0), RecencyMemory(7), [4] * 20),
        # Before anything is learned, roots of the mass rank as the mass does.
        (PredictedChangeMemory(6, "mass", num_sinks=0), STATEKV, [20]),
        (ProtectedRecent(SUMMED, tokens=3), H2OMemory(8, recent=3), [3, 5, 1, 4] * 8),
        (ProtectedSinks(NO_SINKS, tokens=3), OWN_SINKS, [3] * 30),
        # A step without text is asked by its last token.
        (QueryRows(STATEKV, "text"), QueryRows(STATEKV, "last"), [5] * 6),
        # Weighting by the value norm twice is weighting by its square.
        (ValueWeighted(ValueNormMemory(6)), ValueNormMemory(6), [4] * 10),
        (WeightStatisticMemory(6, "sum"), STATEKV, [3, 5, 2] * 4),
    ],
    ids=repr,
)
def test_two_memories_of_one_rule(frames, open_session, one, other, sizes) -> None:
    sessions = open_session(one), open_session(other)
    for frame in frames(*sizes):
        for session in sessions:
            session.push(frame)
        for layer in range(2):
            mine, theirs = (session.slots(layer) for session in sessions)
            assert torch.equal(mine.index, theirs.index)
            assert torch.equal(mine.positions, theirs.positions)
            assert mine.valid is theirs.valid is None
    question = torch.tensor([[3, 1, 4]])
    assert torch.equal(*(session.question_logits(question) for session in sessions))


@pytest.mark.parametrize(
    ("kind", "capacity", "sizes"), [(ReservoirMemory, 8, [3] * 40), (UniformMemory, 12, [2] * 50)]
)
def test_what_is_held_does_not_depend_on_the_way_there(
    frames, open_session, kind, capacity, sizes
) -> None:
    # Priorities are fixed, so evicting early gives what one choice from everything would.
    early, late = open_session(kind(capacity)), open_session(kind(None))
    for frame in frames(*sizes):
        early.push(frame)
        late.push(frame)
    for layer in range(2):
        at_once = kind(capacity).update(late.slots(layer))
        assert torch.equal(at_once.index, early.slots(layer).index)
