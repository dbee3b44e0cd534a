"""Smoothed scores against plain loops, what starts and what travels on."""

from __future__ import annotations

import pytest
import torch

from crossframe.methods import (
    H2OMemory,
    ProtectedSinks,
    RecencyMemory,
    SmoothedScore,
    SnapKVMemory,
    StateKVMemory,
)


def smooth(slot, now: float, rule: str, decay: float) -> float:
    past = slot.notes.setdefault("past", [])
    past.append(now)
    if rule == "sum":
        return sum(past)
    if rule == "mean":
        return sum(past) / len(past)
    if rule == "peak":
        return max(score * decay**age for age, score in enumerate(reversed(past)))
    average = past[0]
    for score in past[1:]:
        average = decay * average + (1 - decay) * score
    return average


@pytest.mark.parametrize(
    ("rule", "decay"),
    [("sum", 0.9), ("mean", 0.9), ("ema", 0.9), ("ema", 0.5), ("ema", 0.0), ("peak", 0.9)],
)
def test_kept_slots_equal_the_oracle(equals_scores, rule, decay) -> None:
    def scores(head) -> list[float]:
        pairs = zip(head.slots, head.mass(), strict=True)
        return [smooth(slot, mass, rule, decay) for slot, mass in pairs]

    equals_scores(SmoothedScore(StateKVMemory(9), rule, decay), scores)


def test_summed_mass_is_what_h2o_sums(frames, open_session) -> None:
    plain, smoothed = (
        open_session(H2OMemory(6, recent=0)),
        open_session(SmoothedScore(StateKVMemory(6), "sum")),
    )
    for frame in frames(*[3, 5, 2] * 8):
        plain.push(frame)
        smoothed.push(frame)
        mine, theirs = smoothed.slots(1), plain.slots(1)
        assert torch.equal(mine.index, theirs.index)
        assert torch.equal(mine.stats["smoothed_score"], theirs.stats["h2o_mass"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Token numbers as scores: constant, so that sums tell how often a slot was seen.
        ("sum", [0.0, 3.0, 6.0, 6.0, 8.0, 5.0]),
        ("mean", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("ema", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("peak", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
    ],
)
def test_the_first_score_of_a_late_slot_starts_its_history(
    frames, open_session, rule, expected
) -> None:
    session = open_session(SmoothedScore(RecencyMemory(None), rule))
    for frame in frames(3, 2, 1):
        session.push(frame)
    stats = session.slots(0).stats
    assert stats["smoothed_score"][0, 0].tolist() == expected
    if rule in ("mean", "ema"):
        assert stats["smoothed_steps"][0, 0].tolist() == [3, 3, 3, 2, 2, 1]


def test_token_numbers_are_kept_exact(frames, open_session) -> None:
    session = open_session(SmoothedScore(RecencyMemory(4), "mean"))
    session.push(frames(3))
    assert session.slots(0).stats["smoothed_score"].dtype == torch.float64


def test_protected_slots_stay_out_of_the_history(frames, open_session) -> None:
    # SnapKV protects its window: a history of infinity would keep it for good.
    for memory in (
        SmoothedScore(SnapKVMemory(4, observation_window=1), "sum"),
        SmoothedScore(ProtectedSinks(StateKVMemory(4), tokens=1), "ema"),
    ):
        session = open_session(memory)
        for frame in frames(*[3] * 20):
            session.push(frame)
        assert bool(session.slots(0).stats["smoothed_score"].isfinite().all())
