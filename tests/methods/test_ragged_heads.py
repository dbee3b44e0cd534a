"""Heads that hold different numbers of slots: padding in front changes no score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    RankingMemory,
    ScoringMemory,
    Slots,
    WrappedRankingMemory,
)
from crossframe.framework.testing import check_law
from crossframe.methods import (
    CoverageMemory,
    H2OMemory,
    InfiniPotVMemory,
    KeyDiffMemory,
    KnormMemory,
    LagKVMemory,
    RandomMemory,
    ReservoirMemory,
    SnapKVMemory,
    UniformMemory,
    ValueNormMemory,
)

ALONE = [
    H2OMemory(6),
    H2OMemory(6, recent=2, normalise="age"),
    KeyDiffMemory(6),
    KnormMemory(6),
    LagKVMemory(6, lag=3, num_sinks=2),
    LagKVMemory(6, lag=2, num_sinks=0, cross_scoring=True),
    SnapKVMemory(6, observation_window=2, kernel=5),
    UniformMemory(6),
    UniformMemory(6, unit="token"),
    ValueNormMemory(6),
]
# They choose by more than a ranking.
CHOOSING = [CoverageMemory(6), InfiniPotVMemory(9, recent_ratio=0.4, pooling=True)]
# Their priorities depend on which head it is, so that one head alone is another one.
BY_HEAD = [RandomMemory(6), ReservoirMemory(6)]

# Real slots per head; the last 3 are the step's own. 16 places and 3 partitions, 3 and nothing, ...
COUNTS, NUM_NEW = (16, 11, 5, 3), 3


@pytest.mark.parametrize("memory", ALONE, ids=repr)
def test_a_padded_head_ranks_as_it_does_alone(memory: ScoringMemory) -> None:
    ragged = _ragged()
    ranking = memory.ranking(_copy(ragged))
    for row, head in product(range(2), range(len(COUNTS))):
        expected = memory.ranking(_copy(_alone(ragged, row, head)))[0, 0]
        got = ranking[row, head, -COUNTS[head] :]
        assert torch.equal(got.isinf(), expected.isinf())
        assert torch.allclose(got.double(), expected.double())


@pytest.mark.parametrize("memory", [*ALONE, *CHOOSING], ids=repr)
def test_a_padded_head_keeps_what_it_keeps_alone(memory: CrossFrameMemory) -> None:
    ragged = _ragged()
    kept = memory.update(_copy(ragged)).index
    for row, head in product(range(2), range(len(COUNTS))):
        real = kept[row, head] >= 0
        same = memory.update(_copy(_alone(ragged, row, head))).index[0, 0]
        assert torch.equal(kept[row, head][real], same)


@pytest.mark.parametrize("memory", CHOOSING, ids=repr)
def test_no_device_is_asked_while_slots_are_chosen(memory: CrossFrameMemory) -> None:
    numbers = torch.zeros(1, 2, 12, dtype=torch.int64, device="meta")
    rows = torch.zeros(1, 2, 12, 8, device="meta")
    slots = Slots(rows, rows, numbers, numbers, numbers.bool(), numbers[None])
    assert memory.update(slots).num_slots == memory.limit(0, 1, 12)


@dataclass(frozen=True)
class FewerInFirstHead(WrappedRankingMemory):
    """Of what the inner memory keeps, takes every other slot from the first head."""

    def select(self, slots: Slots, score: Tensor) -> Slots:
        kept = self.inner.select(slots, score)
        keep = torch.ones_like(kept.visual)
        keep[:, 0] = kept.index[:, 0] % 2 == 0
        return kept.keep(keep)


@pytest.mark.parametrize("law", ["2 mass", "3 selection", "7 boundedness", "10 forks"])
@pytest.mark.parametrize("memory", [*ALONE, *BY_HEAD], ids=repr)
def test_laws_hold_where_heads_are_ragged(memory: RankingMemory, law: str) -> None:
    check_law(law, FewerInFirstHead(memory), max_examples=4)


def test_the_wrapper_of_these_laws_makes_heads_ragged(frames, open_session) -> None:
    session = open_session(FewerInFirstHead(H2OMemory(6)))
    session.push(frames(*[3] * 9))
    assert session.slots(0).valid is not None


def _copy(slots: Slots) -> Slots:
    """Slots whose stats a score may write."""
    return replace(slots, stats=dict(slots.stats))


def _ragged() -> Slots:
    generator = torch.Generator().manual_seed(0)
    heads, places = len(COUNTS), max(COUNTS)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    padding = places - torch.tensor(COUNTS)[:, None]
    valid = (torch.arange(places) >= padding).expand(2, -1, -1)
    index = torch.where(valid, 7 * torch.arange(places) + 1, torch.arange(places) - places)
    stats = {"h2o_mass": drawn(2, heads, places), "h2o_queries": index.abs() + 9}
    stats["patch"] = index.abs() % 4
    keys, values = (drawn(2, heads, places, 8) - 0.5 for _ in range(2))
    for head, count in enumerate(COUNTS):
        # Padding that looks like slots which are there must not stand in for them.
        copies = torch.arange(places - count)
        for rows in (keys, values):
            rows[:, head, copies] = rows[:, head, places - count + copies % count]
    # Rows of weights over real slots only, of two query heads per KV head.
    weights = drawn(2, heads, 2, NUM_NEW, places) * valid[:, :, None, None]
    return Slots(
        keys=keys,
        values=values,
        index=index,
        frame=index // 10,
        visual=torch.ones_like(valid),
        positions=index[None],
        mass=weights.sum((2, 3)),
        stats=stats,
        valid=valid,
        num_new=NUM_NEW,
        weigh=lambda rows: weights[:, :, :, rows],
    )


def _alone(slots: Slots, row: int, head: int) -> Slots:
    """One head of one row without its padding."""
    assert slots.valid is not None and slots.mass is not None and slots.weigh is not None
    here = slice(row, row + 1), slice(head, head + 1), slice(-COUNTS[head], None)
    weigh = slots.weigh
    return replace(
        slots,
        keys=slots.keys[here],
        values=slots.values[here],
        index=slots.index[here],
        frame=slots.frame[here],
        visual=slots.visual[here],
        positions=slots.positions[(slice(None), *here)],
        rotated=None,
        mass=slots.mass[here],
        stats={name: value[here] for name, value in slots.stats.items()},
        valid=None,
        weigh=lambda rows: weigh(rows)[here[0], head : head + 1, :, :, here[2]],
    )
