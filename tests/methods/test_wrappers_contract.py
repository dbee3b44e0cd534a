"""Every wrapper around several memories, alone and nested, against every law."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from crossframe import methods
from crossframe.framework import (
    CrossFrameMemory,
    ProtectingMemory,
    Slots,
    WrappedRankingMemory,
    nested,
)
from crossframe.framework.attention.backend import Visibility
from crossframe.framework.attention.plain import weights_of
from crossframe.framework.testing import LAWS, check_law, memory_machine
from crossframe.methods import (
    AdaptiveHeadBudgets,
    CausalityCorrected,
    ContiguousPositions,
    IsolatedFramesMemory,
    KnormMemory,
    LayerBudgets,
    ProtectedRecent,
    ProtectedSinks,
    PyramidBudgets,
    QueryRows,
    RecencyMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    SmoothedScore,
    StateKVMemory,
    TokenDroppingMemory,
    ValueNormMemory,
    ValueWeighted,
)

Pair = tuple[CrossFrameMemory, CrossFrameMemory | None]
STATEKV, ALL = StateKVMemory(5), StateKVMemory(None)

# Each with the same rule unbounded, where it has one.
WRAPPERS: list[Pair] = [
    (ProtectedSinks(STATEKV, tokens=2), ProtectedSinks(ALL, tokens=2, frames=1, prompt=True)),
    (ProtectedSinks(RecencyMemory(8), tokens=2), ProtectedSinks(RecencyMemory(None), frames=1)),
    (
        ProtectedSinks(SlidingWindowMemory(1), tokens=2, frames=1, prompt=True),
        ProtectedSinks(SlidingWindowMemory(None), tokens=2),
    ),
    (ProtectedRecent(STATEKV, tokens=2), ProtectedRecent(ALL, tokens=2, frames=1)),
    (ProtectedRecent(KnormMemory(6), tokens=3), ProtectedRecent(KnormMemory(None), frames=1)),
    (ProtectedRecent(IsolatedFramesMemory(), tokens=1, frames=2), None),
    (LayerBudgets(STATEKV, (3, 1)), LayerBudgets(ALL, (3, 1))),
    (LayerBudgets(RecencyMemory(4), (1, 2, 1)), LayerBudgets(RecencyMemory(1000), (1,))),
    (LayerBudgets(SinksAndRecentMemory(9), (2, 1)), None),
    (PyramidBudgets(STATEKV, beta=3), PyramidBudgets(ALL)),
    (PyramidBudgets(KnormMemory(6), beta=4, reserved=2), PyramidBudgets(KnormMemory(1000))),
    (PyramidBudgets(RecencyMemory(5), beta=2, reserved=5), None),
    (PyramidBudgets(STATEKV, beta=3, rule="released"), PyramidBudgets(ALL, rule="released")),
    (AdaptiveHeadBudgets(STATEKV), AdaptiveHeadBudgets(ALL)),
    (AdaptiveHeadBudgets(KnormMemory(4), 0.0), AdaptiveHeadBudgets(KnormMemory(1000), 0.0)),
    (AdaptiveHeadBudgets(RecencyMemory(3), 0.5), None),
    (AdaptiveHeadBudgets(STATEKV, rule="kvpress"), AdaptiveHeadBudgets(ALL, rule="kvpress")),
    (SmoothedScore(STATEKV, "sum"), SmoothedScore(ALL, "sum")),
    (SmoothedScore(RecencyMemory(4), "mean"), SmoothedScore(RecencyMemory(None), "mean")),
    (SmoothedScore(STATEKV, "peak"), SmoothedScore(ALL, "peak")),
    (SmoothedScore(KnormMemory(5), "ema"), SmoothedScore(KnormMemory(1000), "ema", 0.5)),
    (CausalityCorrected(STATEKV), CausalityCorrected(ALL)),
    (CausalityCorrected(QueryRows(STATEKV, "all")), None),
    (QueryRows(STATEKV, "last"), QueryRows(ALL, "last")),
    (QueryRows(STATEKV, 2), QueryRows(ALL, "all")),
    (QueryRows(STATEKV, "text"), QueryRows(ALL, "text")),
    (ValueWeighted(STATEKV), ValueWeighted(ALL)),
    (ValueWeighted(ValueNormMemory(4)), ValueWeighted(RecencyMemory(None))),
    (ContiguousPositions(STATEKV), ContiguousPositions(ALL)),
    (ContiguousPositions(STATEKV, 9), ContiguousPositions(ALL, 9)),
    (ContiguousPositions(SlidingWindowMemory(1)), ContiguousPositions(SlidingWindowMemory(None))),
    (ContiguousPositions(KnormMemory(4), 30), ContiguousPositions(KnormMemory(None), 1)),
]

NESTED: list[Pair] = [
    (
        AdaptiveHeadBudgets(ProtectedSinks(SmoothedScore(STATEKV, "sum"), tokens=2)),
        AdaptiveHeadBudgets(ProtectedSinks(SmoothedScore(ALL, "sum"), tokens=2)),
    ),
    (
        ContiguousPositions(ProtectedRecent(LayerBudgets(AdaptiveHeadBudgets(STATEKV), (2, 1)), 1)),
        None,
    ),
    (SmoothedScore(ValueWeighted(QueryRows(ProtectedSinks(STATEKV, 1), 2)), "ema"), None),
    (TokenDroppingMemory(ContiguousPositions(ProtectedSinks(STATEKV, 2)), ratio=0.5), None),
    (ProtectedSinks(TokenDroppingMemory(STATEKV, ratio=0.5), 2), None),
    (
        PyramidBudgets(CausalityCorrected(ProtectedRecent(ProtectedSinks(STATEKV, 1), 1)), beta=3),
        None,
    ),
    (SinksAndRecentMemory(6, positions="contiguous"), None),
]


def name(pair: Pair) -> str:
    return repr(pair[0]).replace(" ", "")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("pair", [*WRAPPERS, *NESTED], ids=name)
def test_law(law: str, pair: Pair) -> None:
    memory, unbounded = pair
    check_law(law, memory, unbounded=unbounded, max_examples=4)


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("pair", [*WRAPPERS, *NESTED], ids=name)
def test_rows_of_a_batch_keep_what_they_keep_alone(rows_keep_as_alone, pair, repeated) -> None:
    for float_type in (torch.float32, torch.float64):
        rows_keep_as_alone(pair[0], float_type, repeated=repeated)


def test_every_wrapper_is_held_to_the_laws() -> None:
    kinds = (WrappedRankingMemory, ProtectingMemory, ContiguousPositions)
    exported = [kind for kind in vars(methods).values() if isinstance(kind, type)]
    wrappers = {kind for kind in exported if issubclass(kind, kinds)}
    assert {type(memory) for memory, _ in WRAPPERS} == wrappers
    for wrapper in wrappers:
        assert sum(type(memory) is wrapper for memory, _ in WRAPPERS) >= 2


TestNested = memory_machine(NESTED[1][0], max_examples=6).TestCase
TestAdaptive = memory_machine(NESTED[0][0], max_examples=6).TestCase

GRAPHABLE = [
    ProtectedSinks(StateKVMemory(9), tokens=2),
    ProtectedRecent(StateKVMemory(9), tokens=2),
    LayerBudgets(StateKVMemory(9), (1,)),
    ProtectedSinks(LayerBudgets(StateKVMemory(9), (1,)), tokens=2),
    PyramidBudgets(StateKVMemory(9), beta=1),
    SmoothedScore(StateKVMemory(9), "sum"),
    SmoothedScore(RecencyMemory(9), "ema"),
    CausalityCorrected(StateKVMemory(9)),
    QueryRows(StateKVMemory(9), 2),
    ValueWeighted(StateKVMemory(9)),
    ContiguousPositions(StateKVMemory(9)),
    ContiguousPositions(SmoothedScore(QueryRows(StateKVMemory(9), "last"), "mean"), 30),
    SinksAndRecentMemory(9, positions="contiguous"),
]


@pytest.mark.parametrize("memory", GRAPHABLE, ids=repr)
@pytest.mark.parametrize("axes", [1, 3])
def test_what_is_graphable_reads_no_numbers(memory: CrossFrameMemory, axes: int) -> None:
    assert memory.graphable
    with FakeTensorMode():
        kept = memory.update(fake_slots(axes))
    assert kept.keys.shape == (2, 3, 9, 8)


def test_what_counts_on_the_host_is_not_graphable() -> None:
    for memory in (
        AdaptiveHeadBudgets(STATEKV),
        QueryRows(STATEKV, "text"),
        ProtectedSinks(STATEKV, frames=1),
        ProtectedRecent(IsolatedFramesMemory(), tokens=1),
        SmoothedScore(QueryRows(STATEKV, "text"), "sum"),
    ):
        assert not memory.graphable, memory


def fake_slots(axes: int) -> Slots:
    """16 slots on an accelerator, 4 of them new; without numbers."""
    shape, device = (2, 3, 16), "cuda"
    index = torch.zeros(shape, dtype=torch.int64, device=device)
    query, keys = (torch.zeros(2, n, s, 8, device=device) for n, s in ((6, 4), (3, 16)))
    return Slots(
        keys=keys,
        values=keys,
        index=index,
        frame=index,
        visual=index.bool(),
        positions=index.expand(axes, *shape),
        mass=torch.zeros(shape, device=device),
        num_new=4,
        weigh=lambda rows: weights_of(query, keys, rows, scale=1.0, visibility=Visibility()),
    )


def test_settings_of_nested_memories_are_seen_from_outside() -> None:
    memory = NESTED[0][0]
    assert [type(inside) for inside in nested(memory)] == [
        AdaptiveHeadBudgets,
        ProtectedSinks,
        SmoothedScore,
        StateKVMemory,
    ]
    assert memory.needs_mass
    assert memory.limit(0, 1, 9) == 5
