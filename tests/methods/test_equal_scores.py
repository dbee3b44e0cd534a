"""Slots that are alike have equal scores, whatever their places, layout and batch."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework import REDUCTIONS, RankingMemory, Slots
from crossframe.methods import (
    AdaptiveHeadBudgets,
    KeyDiffMemory,
    KnormMemory,
    SmoothedScore,
    StateKVMemory,
    ValueNormMemory,
    ValueWeighted,
    WeightStatisticMemory,
)

# Their scores follow from what is in a slot, and not from its place.
BY_CONTENT = [
    KeyDiffMemory(1),
    KnormMemory(1),
    StateKVMemory(1),
    ValueNormMemory(1),
    *(WeightStatisticMemory(1, name) for name in ("max", "squares")),
    SmoothedScore(WeightStatisticMemory(1), "peak"),
    ValueWeighted(StateKVMemory(1)),
    ValueWeighted(ValueNormMemory(1)),
    SmoothedScore(KeyDiffMemory(1), "ema"),
    AdaptiveHeadBudgets(KnormMemory(1)),
]
ROWS, HEADS = 3, 2


def copies(count: int, channels: int, float_type: torch.dtype, *, transposed: bool) -> Slots:
    """`count` slots of three kinds, dealt at random; `index` tells how many came before."""
    generator = torch.Generator().manual_seed(count * channels)

    def dealt(width: int) -> torch.Tensor:
        kinds = torch.randn(ROWS, HEADS, 3, width, generator=generator).to(float_type)
        rows = kinds.gather(2, kind[..., None].expand(-1, -1, -1, width))
        # As projections make them, heads next to each other.
        return rows.transpose(1, 2).contiguous().transpose(1, 2) if transposed else rows

    kind = torch.randint(3, (ROWS, HEADS, count), generator=generator)
    index = torch.arange(count).expand(ROWS, HEADS, -1)
    return Slots(
        keys=dealt(channels),
        values=dealt(channels),
        index=index,
        frame=torch.zeros_like(index),
        visual=index >= 0,
        positions=index[None],
        mass=dealt(1)[..., 0].float().abs(),
        reduced={name: dealt(1)[..., 0].float().abs() for name in REDUCTIONS},
        stats={"kind": kind},
        num_new=count,
    )


@pytest.mark.parametrize("float_type", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("memory", BY_CONTENT, ids=repr)
def test_copies_score_alike_and_the_newest_stay(memory: RankingMemory, float_type) -> None:
    for count in (2, 5, 8, 17, 33, 71):
        for channels in (1, 3, 8, 80):
            for transposed in (False, True):
                slots = copies(count, channels, float_type, transposed=transposed)
                score = memory.ranking(slots)
                same = slots.stats["kind"][..., None] == slots.stats["kind"][..., None, :]
                assert (score[..., None] == score[..., None, :])[same].all()
                _newest_of_each_kind_stay(memory, slots)


def _newest_of_each_kind_stay(memory: RankingMemory, slots: Slots) -> None:
    kept = memory.update(slots)
    for row in range(ROWS):
        for head in range(HEADS):
            held = [n for n in kept.index[row, head].tolist() if n >= 0]
            for kind in range(3):
                alike = (slots.stats["kind"][row, head] == kind).nonzero()[:, 0].tolist()
                mine = [n for n in held if n in alike]
                assert mine == alike[len(alike) - len(mine) :]
