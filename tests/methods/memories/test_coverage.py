"""Coverage against a plain-loop oracle that tries every removal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from crossframe.framework import Slots
from crossframe.methods import CoverageMemory

from ..loops import LoopHead, LoopSlot, cosine


def _covering(slots: Sequence[LoopSlot], capacity: int) -> list[int]:
    """Remove one by one, each time the one without which the whole sum stays largest."""
    pool = range(len(slots))
    similar = {
        (j, i): 2**20
        if i == j
        else round(
            2**19 * (cosine(slots[j].key, slots[i].key) + cosine(slots[j].value, slots[i].value))
        )
        for j in pool
        for i in pool
    }
    kept = list(pool)
    while len(kept) > capacity:
        sums = []
        for out in kept:
            rest = [i for i in kept if i != out]
            sums.append(sum(max((similar[j, i] for i in rest), default=0) for j in pool))
        kept.pop(sums.index(max(sums)))
    return kept


@pytest.mark.parametrize("capacity", [0, 1, 2, 9])
def test_kept_slots_equal_the_oracle(equals_loops, capacity: int) -> None:
    def rule(heads: Sequence[LoopHead]) -> list[list[int]]:
        return [_covering(head.slots, capacity) for head in heads]

    equals_loops(CoverageMemory(capacity), rule)


def _slots(keys: torch.Tensor) -> Slots:
    """One head whose keys and values are the given vectors."""
    numbers = torch.arange(len(keys))[None, None]
    rows = keys[None, None]
    return Slots(rows, rows, numbers, numbers, numbers >= 0, numbers[None])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_one_of_each_kind_stays_and_it_is_the_newest(dtype: torch.dtype) -> None:
    # Five directions, each met eight times at another length: cosines are 1 up to rounding.
    generator = torch.Generator().manual_seed(0)
    kind = torch.randperm(40, generator=generator) % 5
    directions = torch.randn(5, 80, generator=generator, dtype=dtype)
    lengths = torch.linspace(1, 2, 40, dtype=dtype)[:, None]
    kept = CoverageMemory(5).update(_slots(directions[kind] * lengths))
    newest = [max(n for n in range(40) if kind[n] == k) for k in range(5)]
    assert kept.index[0, 0].tolist() == sorted(newest)


def test_keys_and_values_count_alike() -> None:
    # 2 and 3 are alike in both, 0 and 1 in one of the two: the first to go is the older of 2 and 3,
    # the second the older of 0 and 1, since 3 now stands for two slots.
    one = torch.eye(4)[[0, 0, 1, 1]]
    other = torch.eye(4)[[0, 1, 2, 2]]
    for keys, values in ((one, other), (other, one)):
        slots = replace(_slots(keys), values=values[None, None])
        assert CoverageMemory(3).update(slots).index[0, 0].tolist() == [0, 1, 3]
        assert CoverageMemory(2).update(slots).index[0, 0].tolist() == [1, 3]


def test_a_zero_vector_is_covered_by_itself_alone() -> None:
    keys = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert CoverageMemory(3).update(_slots(keys)).index[0, 0].tolist() == [0, 2, 3]
    assert CoverageMemory(2).update(_slots(keys[:1].expand(5, 2))).index[0, 0].tolist() == [3, 4]
