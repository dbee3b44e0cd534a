"""KeyDiff against plain loops."""

from __future__ import annotations

import math

import torch

from crossframe.methods import KeyDiffMemory


def test_kept_slots_equal_the_oracle(equals_loops, best) -> None:
    def length(vector):
        return math.sqrt(sum(x * x for x in vector))

    def keep(head):
        units = [[x / length(slot.key) for x in slot.key] for slot in head.slots]
        mean = [sum(channel) / len(units) for channel in zip(*units, strict=True)]
        cosines = []
        for slot in head.slots:
            dot = sum(a * b for a, b in zip(slot.key, mean, strict=True))
            cosines.append(dot / length(slot.key) / length(mean))
        return best([-cosine for cosine in cosines], 9)

    equals_loops(KeyDiffMemory(9), lambda heads: [keep(head) for head in heads])


def test_the_length_of_keys_plays_no_part(frames, open_session) -> None:
    session = open_session(KeyDiffMemory(None))
    session.push(frames(6))
    slots = session.slots(0)
    before = KeyDiffMemory(3).score(slots)
    slots.keys = slots.keys * torch.tensor([1.0, 50, 0.1, 3, 1, 7]).double()[:, None]
    assert torch.allclose(KeyDiffMemory(3).score(slots), before)
