"""Causality correction against plain loops, and a frame whose tokens draw alike."""

from __future__ import annotations

import torch

from crossframe.framework import Slots
from crossframe.methods import (
    CausalityCorrected,
    StateKVMemory,
)


def test_kept_slots_equal_the_oracle(equals_loops, best) -> None:
    def keep(head):
        scores = []
        for place in range(len(head.slots)):
            column = [row[place] for group in head.weights for row in group]
            own = place - (len(head.slots) - head.num_new)
            seen_by = head.num_new - max(own, 0)
            scores.append(sum(column) / seen_by)
        return best(scores, 9)

    equals_loops(CausalityCorrected(StateKVMemory(9)), lambda heads: [keep(h) for h in heads])


def test_carried_slots_are_left_alone_and_own_tokens_divided_by_their_queries() -> None:
    index = torch.arange(5).expand(1, 1, -1)
    rows = torch.zeros(1, 1, 5, 2)
    slots = Slots(rows, rows, index, index, index >= 0, index[None], num_new=3)
    slots.mass = torch.tensor([[[1.0, 2.0, 3.0, 2.0, 1.0]]])
    score = CausalityCorrected(StateKVMemory(None)).score(slots)
    assert score.tolist() == [[[1.0, 2.0, 3.0, 3.0, 3.0]]]
    assert slots.mass.tolist() == [[[1.0, 2.0, 3.0, 2.0, 1.0]]], "others still see the true mass"
