"""Causality correction against plain loops, and a frame whose tokens draw alike."""

from __future__ import annotations

import torch

from crossframe.framework import Slots
from crossframe.methods import (
    CausalityCorrected,
    StateKVMemory,
)


def test_kept_slots_equal_the_oracle(equals_scores) -> None:
    def scores(head) -> list[float]:
        # The step's queries that see a slot: all, or its own token's and those behind it.
        behind = range(len(head.slots), 0, -1)
        seen_by = [min(head.num_new, count) for count in behind]
        return [mass / count for mass, count in zip(head.mass(), seen_by, strict=True)]

    equals_scores(CausalityCorrected(StateKVMemory(9)), scores)


def test_carried_slots_are_left_alone_and_own_tokens_divided_by_their_queries() -> None:
    index = torch.arange(5).expand(1, 1, -1)
    rows = torch.zeros(1, 1, 5, 2)
    slots = Slots(rows, rows, index, index, index >= 0, index[None], num_new=3)
    slots.mass = torch.tensor([[[1.0, 2.0, 3.0, 2.0, 1.0]]])
    score = CausalityCorrected(StateKVMemory(None)).score(slots)
    assert score.tolist() == [[[1.0, 2.0, 3.0, 3.0, 3.0]]]
    assert slots.mass.tolist() == [[[1.0, 2.0, 3.0, 2.0, 1.0]]], "others still see the true mass"
