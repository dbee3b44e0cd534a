"""Knorm against plain loops; keys of bfloat16 are measured in float32."""

from __future__ import annotations

import torch

from crossframe.methods import KnormMemory


def test_kept_slots_equal_the_oracle(equals_scores) -> None:
    equals_scores(KnormMemory(9), lambda head: [-sum(x * x for x in s.key) for s in head.slots])


def test_short_keys_are_told_apart_in_half_precision(frames, open_session) -> None:
    session = open_session(KnormMemory(None))
    session.push(frames(2))
    slots = session.slots(0)
    # sqrt(64) and sqrt(64.0625) are the same number in bfloat16.
    keys = torch.zeros(1, 2, 2, 8, dtype=torch.bfloat16)
    keys[..., 0], keys[..., 1, 1] = 8.0, 0.25
    slots.keys = keys
    score = KnormMemory(1).score(slots)
    assert score.dtype == torch.float32
    assert bool((score[..., 0] > score[..., 1]).all())
