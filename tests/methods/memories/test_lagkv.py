"""LagKV against plain loops: partitions, references, sinks and the protected end."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch

from crossframe.methods import LagKVMemory


def _share(rows: list[list[float]], reference: list[list[float]]) -> list[float]:
    """Softmax over a partition of the spread of its rows in the range of the reference."""
    low = [min(channel) for channel in zip(*reference, strict=True)]
    high = [max(channel) for channel in zip(*reference, strict=True)]
    spread = [
        statistics.stdev((x - lo) / (hi - lo) for x, lo, hi in zip(row, low, high, strict=True))
        for row in rows
    ]
    powers = [math.exp(number - max(spread)) for number in spread]
    return [power / sum(powers) for power in powers]


def _scores(slots, lag: int, sinks: int, cross_scoring: bool) -> list[float]:
    scores = [1e9] * min(sinks, len(slots))
    parts = [slots[start : start + lag] for start in range(sinks, len(slots), lag)]
    for part, reference in itertools.pairwise(parts):
        if len(reference) < lag:
            break
        keys = _share([s.key for s in part], [s.key for s in reference])
        values = _share([s.value for s in part], [s.value for s in reference])
        both = [a + b for a, b in zip(keys, values, strict=True)]
        scores += both if cross_scoring else [sum(y < x for y in both) / lag for x in both]
    return scores + [1e6] * (len(slots) - len(scores))


@pytest.mark.parametrize("cross_scoring", [False, True])
@pytest.mark.parametrize(
    ("capacity", "lag", "sinks"), [(12, 3, 2), (15, 4, 0), (13, 5, 1), (6, 5, 3)]
)
def test_kept_slots_equal_the_oracle(equals_scores, capacity, lag, sinks, cross_scoring) -> None:
    memory = LagKVMemory(capacity, lag, sinks, cross_scoring)
    equals_scores(memory, lambda head: _scores(head.slots, lag, sinks, cross_scoring), capacity)


def test_sinks_survive_a_hundred_compactions_even_without_room_for_partitions(
    frames, open_session
) -> None:
    for memory in (LagKVMemory(14, lag=3, num_sinks=3), LagKVMemory(4, lag=8, num_sinks=3)):
        session = open_session(memory)
        for frame in frames(*[5] * 100):
            session.push(frame)
        for layer in range(2):
            held = session.slots(layer).index[0]
            assert held[:, :3].tolist() == [[0, 1, 2]] * 2
            assert held[:, -1].tolist() == [499] * 2


def test_every_partition_loses_the_same_share(frames, open_session) -> None:
    # 2 sinks, 5 partitions of 4; the last stays, so 8 of the other 16 have to leave.
    session = open_session(LagKVMemory(14, lag=4, num_sinks=2))
    session.push(frames(22))
    for head in session.slots(0).index[0].tolist():
        assert [sum(2 + 4 * p <= n < 6 + 4 * p for n in head) for p in range(5)] == [2, 2, 2, 2, 4]


def test_a_constant_channel_of_the_reference_is_left_out(frames, open_session) -> None:
    session = open_session(LagKVMemory(None))
    session.push(frames(8))
    slots = session.slots(0)
    slots.keys = slots.keys.clone()
    slots.keys[..., 3] = 1.0
    score = LagKVMemory(4, lag=4, num_sinks=0, cross_scoring=True).score(slots)
    assert bool(score.isfinite().all())
    assert torch.unique(score[0, 0, :4]).numel() == 4
