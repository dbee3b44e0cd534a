"""SnapKV against plain loops: the window looks, its neighbours help, it stays."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework import ScoringMemory, Slots
from crossframe.methods import SnapKVMemory

POOL = {"avg": lambda near: sum(near) / len(near), "max": max}


@pytest.mark.parametrize("pooling", POOL)
@pytest.mark.parametrize(("window", "kernel"), [(1, 1), (2, 3), (4, 5), (8, 5)])
def test_kept_slots_equal_the_oracle(equals_loops, best, window, kernel, pooling) -> None:
    def keep(head):
        count, used = len(head.slots), min(window, head.num_new)
        if count <= 9:
            return range(count)
        rows = [row for tokens in head.weights for row in tokens[head.num_new - used :]]
        mean = [sum(row[place] for row in rows) / len(rows) for place in range(count - used)]
        pooled = []
        for place in range(len(mean)):
            near = mean[max(0, place - kernel // 2) : place + kernel // 2 + 1]
            pooled.append(POOL[pooling](near))
        return [*best(pooled, 9 - used), *range(count - used, count)]

    memory = SnapKVMemory(9, observation_window=window, kernel=kernel, pooling=pooling)
    equals_loops(memory, lambda heads: [keep(head) for head in heads])


@pytest.mark.parametrize("capacity", [33, 40, 64])
def test_the_defaults_choose_as_the_release_does_from_a_prompt(
    equals_loops, best, capacity
) -> None:
    """With as many KV heads as query heads, which is what it makes of any model."""

    def keep(prompt):
        before = len(prompt) - 32
        drawn = [sum(row[place] for row in prompt[-32:]) for place in range(before)]
        beyond = [float("-inf")] * 3
        padded = [*beyond, *drawn, *beyond]
        pooled = [max(padded[place : place + 7]) for place in range(before)]
        return [*best(pooled, capacity - 32), *range(before, len(prompt))]

    def rule(heads):
        return [keep(head.weights[0]) for head in heads]

    equals_loops(SnapKVMemory(capacity), rule, sizes=[90], num_kv_heads=4)


def test_neighbours_of_a_strong_slot_are_kept_with_it(slots_with_weights) -> None:
    # One old slot draws much; alone it is kept with the next best, pooled with its neighbours.
    drawn = [0.1, 0.02, 0.0, 0.0, 0.6, 0.0, 0.0, 0.2, 0.0, 0.0]
    for pooling in POOL:
        for kernel, expected in [(1, [0, 4, 7, 9]), (3, [3, 4, 5, 9])]:
            slots, memory = slots_with_weights(drawn), SnapKVMemory(4, 1, kernel, pooling)
            assert memory.update(slots).index[0, 0].tolist() == expected


def test_the_window_takes_no_part_in_pooling(slots_with_weights) -> None:
    # The window draws most weight itself; the slot next to it gains nothing from that.
    drawn = [0.02, 0.05, 0.02, 0.0, 0.0, 0.9]
    for pooling, expected in {
        "avg": [0.035, 0.03, 0.07 / 3, 0.02 / 3, 0.0, torch.inf],
        "max": [0.05, 0.05, 0.05, 0.02, 0.0, torch.inf],
    }.items():
        score = SnapKVMemory(3, 1, 3, pooling).ranking(slots_with_weights(drawn))[0, 0]
        assert torch.allclose(score, torch.tensor(expected, dtype=torch.float64))


@pytest.fixture
def slots_with_weights(frames, open_session):
    """Slots of one head in which the step's one query hands out given weights."""

    def make(weights: list[float]) -> Slots:
        session = open_session(_Unbounded(None))
        session.push(frames(*[1] * len(weights)))
        kept = session.slots(0)
        one_head = kept.keep(torch.arange(len(weights)))
        table = torch.tensor(weights, dtype=torch.float64).expand(1, 1, 2, 1, -1)
        one_head.num_new, one_head.weigh = 1, lambda rows: table
        return one_head

    return make


class _Unbounded(ScoringMemory):
    def score(self, slots: Slots) -> torch.Tensor:
        return slots.index


def test_without_a_capacity_any_window_fits() -> None:
    assert SnapKVMemory(None).limit(0, 1, 1) is None
