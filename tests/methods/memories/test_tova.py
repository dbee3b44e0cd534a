"""TOVA against plain loops: one set of slots for all heads, chosen by the last tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossframe.methods import ProtectedRecent, TOVAMemory


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_kept_slots_equal_the_oracle(equals_loops, best, rows) -> None:
    def rule(heads):
        count, new = len(heads[0].slots), heads[0].num_new
        score = [0.0] * count
        for head in heads:
            for tokens in head.weights:
                for row in tokens[max(0, new - rows) :]:
                    score = [a + b for a, b in zip(score, row, strict=True)]
        if count <= 9:
            return [range(count)] * len(heads)
        return [best(score, 9)] * len(heads)

    equals_loops(TOVAMemory(9, rows=rows), rule)


def test_all_heads_of_a_layer_hold_the_same_and_layers_do_not(frames, open_session) -> None:
    session = open_session(TOVAMemory(5))
    session.push(frames(*[4] * 20))
    index = [session.slots(layer).index[0] for layer in range(2)]
    assert torch.equal(index[0][0], index[0][1])
    assert not torch.equal(index[0][0], index[1][0])


def test_the_newest_slot_competes_unless_it_is_protected(frames, open_session) -> None:
    free, forced = TOVAMemory(3), ProtectedRecent(TOVAMemory(3), tokens=1)
    sessions, kept = [open_session(memory) for memory in (free, forced)], [0, 0]
    for frame in frames(*[4] * 30):
        for place, session in enumerate(sessions):
            session.push(frame)
            newest = session.slots(0).index[0, 0, -1] == session.cursor.tokens - 1
            kept[place] += bool(newest)
    assert 0 < kept[0] < 30 == kept[1]


def test_heads_that_hold_different_numbers_of_slots_are_refused(frames, open_session) -> None:
    session = open_session(TOVAMemory(5))
    session.push(frames(4))
    slots = session.slots(0)
    ragged = replace(slots, valid=torch.ones_like(slots.visual))
    with pytest.raises(ValueError, match=r"TOVAMemory keeps one set of slots .* do not wrap it"):
        TOVAMemory(5).score(ragged)
