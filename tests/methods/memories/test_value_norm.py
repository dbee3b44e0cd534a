"""Value norms against plain loops; values of bfloat16 are measured in float32."""

from __future__ import annotations

import torch

from crossframe.methods import ValueNormMemory


def test_kept_slots_equal_the_oracle(equals_scores) -> None:
    equals_scores(
        ValueNormMemory(9), lambda head: [sum(x * x for x in s.value) for s in head.slots]
    )


def test_values_are_measured_in_float32(frames, open_session) -> None:
    session = open_session(ValueNormMemory(None))
    session.push(frames(3))
    slots = session.slots(0)
    slots.values = slots.values.bfloat16()
    score = ValueNormMemory(1).score(slots)
    assert score.dtype == torch.float32
    assert torch.allclose(score, slots.values.float().norm(dim=-1), rtol=1e-6)
