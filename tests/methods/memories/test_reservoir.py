"""A reservoir is a uniform, reproducible sample of the whole stream."""

from __future__ import annotations

import torch

from crossframe.methods import ReservoirMemory


def test_every_part_of_the_stream_is_held_equally_often(frames, open_session) -> None:
    # 2 layers x 2 heads x 30 seeds x 20 slots of 200 tokens: 240 slots expected in each tenth of
    # the stream, standard deviation below 15; five of those are allowed.
    stream = frames(*[20] * 10)
    counts = torch.zeros(10)
    for seed in range(30):
        session = open_session(ReservoirMemory(20, seed=seed))
        session.push(stream)
        for layer in range(2):
            tenth = session.slots(layer).index.flatten() // 20
            counts += torch.bincount(tenth, minlength=10)
    assert counts.sum() == 2400
    assert (counts - 240).abs().max() < 75
