"""What says it is graphable reads nothing on the host: it runs on tensors that hold no numbers."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from crossframe.framework import REDUCTIONS, CrossFrameMemory, ScoringMemory, Slots
from crossframe.framework.attention.backend import Visibility
from crossframe.framework.attention.plain import weights_of
from crossframe.methods import (
    ContiguousPositions,
    H2OMemory,
    IsolatedFramesMemory,
    LayerBudgets,
    ProtectedRecent,
    ProtectedSinks,
    QueryRows,
    SmoothedScore,
    StateKVMemory,
    WeightStatisticMemory,
)

from ..every import MEMORIES, NESTED, WRAPPERS

ALL = [memory for memory, _ in (*MEMORIES, *WRAPPERS, *NESTED)]
GRAPHABLE = [
    *(memory for memory in ALL if memory.graphable),
    H2OMemory(9, normalise="age"),
    *(WeightStatisticMemory(9, name) for name in ("max", "squares", "output_change")),
    WeightStatisticMemory(9, heads="group_max"),
    WeightStatisticMemory(9, heads="layer"),
    ContiguousPositions(SmoothedScore(QueryRows(StateKVMemory(9), "last"), "mean"), 30),
    ProtectedSinks(LayerBudgets(StateKVMemory(9), (1,)), tokens=2),
]
# Read numbers on the host, in all their settings.
ON_THE_HOST = {
    "AdaptiveHeadBudgets",
    "PredictedChangeMemory",
    "SlidingWindowMemory",
    "StreamMemMemory",
}


@pytest.mark.parametrize("memory", GRAPHABLE, ids=repr)
@pytest.mark.parametrize("axes", [1, 3])
def test_an_update_reads_no_numbers_and_its_shapes_follow_from_shapes(
    memory: CrossFrameMemory, axes: int
) -> None:
    assert memory.graphable
    with FakeTensorMode():
        kept = memory.update(_slots(axes))
    limit = memory.limit(0, 1, 4)
    count = 16 if limit is None else min(limit, 16)
    assert kept.keys.shape == (2, 3, count, 8)
    assert all(stat.shape == (2, 3, count) for stat in kept.stats.values())


def test_what_counts_on_the_host_is_not_graphable() -> None:
    kinds = {type(memory).__name__ for memory in ALL}
    assert kinds - {type(memory).__name__ for memory in GRAPHABLE} == ON_THE_HOST
    for memory in (
        QueryRows(StateKVMemory(5), "text"),
        ProtectedSinks(StateKVMemory(5), frames=1),
        ProtectedRecent(IsolatedFramesMemory(), tokens=1),
        SmoothedScore(QueryRows(StateKVMemory(5), "text"), "sum"),
    ):
        assert not memory.graphable, memory


def test_a_read_on_the_host_is_noticed() -> None:
    class Reads(ScoringMemory):
        def score(self, slots: Slots) -> torch.Tensor:
            return slots.index + int(slots.index.max())

    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        Reads(9).update(_slots(1))


def _slots(axes: int) -> Slots:
    """16 slots, 4 of them new, on an accelerator: on the CPU `keep` looks at its indices."""
    shape, device = (2, 3, 16), "cuda"
    index = torch.zeros(shape, dtype=torch.int64, device=device)
    query = torch.zeros(2, 6, 4, 8, device=device)
    keys = torch.zeros(*shape, 8, device=device)
    return Slots(
        keys=keys,
        values=keys,
        index=index,
        frame=index,
        visual=index.bool(),
        positions=index.expand(axes, *shape),
        mass=torch.zeros(shape, device=device),
        reduced={name: torch.zeros(shape, device=device) for name in REDUCTIONS},
        num_new=4,
        turn=lambda keys, delta: keys,
        weigh=lambda rows: weights_of(query, keys, rows, scale=1.0, visibility=Visibility()),
    )
