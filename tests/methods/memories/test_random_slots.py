"""Random slots are drawn anew at every step, reproducibly."""

from __future__ import annotations

import torch

from crossframe.methods import RandomMemory


def test_rows_of_a_batch_draw_alike_and_alone(frames, open_session) -> None:
    # The draw depends on the token, not on where its row stands in a batch.
    pair, single = open_session(RandomMemory(6)), open_session(RandomMemory(6))
    pair.push(frames(*[5] * 8, batch=2))
    single.push(frames(*[5] * 8))
    assert torch.equal(pair.slots(0).index, single.slots(0).index.expand(2, -1, -1))


def test_old_frames_fade_geometrically(frames, open_session) -> None:
    # 40 seeds x 2 layers x 2 heads x 20 slots. Each step keeps 20 of 40 slots, so that the frame
    # of n steps ago holds 20 / 2^(n + 1) on average; five standard deviations are allowed.
    stream = frames(*[20] * 9)
    counts = torch.zeros(9)
    for seed in range(40):
        session = open_session(RandomMemory(20, seed=seed))
        session.push(stream)
        for layer in range(2):
            counts += torch.bincount(session.slots(layer).frame.flatten(), minlength=9)
    expected = torch.tensor([160 * 20 / 2 ** (9 - frame) for frame in range(9)])
    assert counts.sum() == 3200
    assert ((counts[1:] - expected[1:]).abs() < 5 * expected[1:].sqrt()).all()
