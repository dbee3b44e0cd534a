"""What says it is graphable reads nothing on the host: it runs on tensors that hold no numbers."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from crossframe.framework import REDUCTIONS, ScoringMemory, Slots
from crossframe.framework.attention.backend import Visibility
from crossframe.framework.attention.plain import weights_of
from crossframe.methods import (
    H2OMemory,
    KeyDiffMemory,
    KnormMemory,
    LagKVMemory,
    RandomMemory,
    RecencyMemory,
    ReservoirMemory,
    SinksAndRecentMemory,
    SnapKVMemory,
    StateKVMemory,
    TOVAMemory,
    UniformMemory,
    ValueNormMemory,
    WeightStatisticMemory,
)

GRAPHABLE = [
    H2OMemory(9),
    H2OMemory(9, normalise="age"),
    KeyDiffMemory(9),
    KnormMemory(9),
    LagKVMemory(9, lag=3, num_sinks=2),
    LagKVMemory(9, lag=3, num_sinks=2, cross_scoring=True),
    RandomMemory(9),
    RecencyMemory(9),
    ReservoirMemory(9),
    SinksAndRecentMemory(9),
    SnapKVMemory(9, observation_window=2),
    StateKVMemory(9),
    TOVAMemory(9, rows=2),
    UniformMemory(9),
    UniformMemory(9, unit="token"),
    ValueNormMemory(9),
    *(WeightStatisticMemory(9, name) for name in ("sum", "max", "squares", "output_change")),
    WeightStatisticMemory(9, heads="group_max"),
    WeightStatisticMemory(9, heads="layer"),
]


@pytest.mark.parametrize("memory", GRAPHABLE, ids=repr)
def test_an_update_reads_no_numbers_and_its_shapes_follow_from_shapes(memory) -> None:
    assert memory.graphable
    with FakeTensorMode():
        kept = memory.update(_slots(places=16, num_new=4))
    assert kept.keys.shape == (2, 3, 9, 8)
    assert all(stat.shape == (2, 3, 9) for stat in kept.stats.values())


def test_a_read_on_the_host_is_noticed() -> None:
    class Reads(ScoringMemory):
        def score(self, slots: Slots) -> torch.Tensor:
            return slots.index + int(slots.index.max())

    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        Reads(9).update(_slots(places=16, num_new=4))


def _slots(places: int, num_new: int) -> Slots:
    # An accelerator: on the CPU `keep` looks at the indices it gets.
    shape, device = (2, 3, places), "cuda"
    index = torch.zeros(shape, dtype=torch.int64, device=device)
    query = torch.zeros(2, 6, num_new, 8, device=device)
    keys = torch.zeros(*shape, 8, device=device)
    return Slots(
        keys=keys,
        values=keys,
        index=index,
        frame=index,
        visual=index.bool(),
        positions=index[None],
        mass=torch.zeros(shape, device=device),
        reduced={name: torch.zeros(shape, device=device) for name in REDUCTIONS},
        num_new=num_new,
        weigh=lambda rows: weights_of(query, keys, rows, scale=1.0, visibility=Visibility()),
    )
