"""Three hours of video at one frame per second: state and time per frame stay flat.

Left out of `make test`; run with `make soak`, which prints the figures.
"""

from __future__ import annotations

from statistics import median

import pytest
import torch

from crossframe.framework import VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

FRAMES = 3 * 60 * 60
TOKENS = 6


@pytest.mark.soak
def test_three_hours_of_frames_cost_the_same_each() -> None:
    model = DecoderModel(tiny_qwen2())
    session = VideoSession(model, StateKVMemory(48), max_tokens=FRAMES * TOKENS + 64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(FRAMES):
        ids = torch.randint(0, model.spec.vocab, (1, TOKENS), generator=generator)
        session.push(model.frame(ids, session.cursor))
    costs = session.costs
    early = median(cost.milliseconds for cost in costs[500:1500])
    late = median(cost.milliseconds for cost in costs[-1000:])
    archive = session.archive
    print(
        f"\n{FRAMES} frames of {TOKENS} tokens, capacity 48: state {costs[20].state_bytes} bytes "
        f"at frame 20, {costs[-1].state_bytes} at the end; FLOPs per frame {costs[20].flops} and "
        f"{costs[-1].flops}; median of 1000 frames {early:.2f} ms early, {late:.2f} ms late "
        f"(ratio {late / early:.2f}); archive {archive.bytes_held} bytes held, "
        f"{archive.bytes_copied / archive.bytes_held:.2f} times that copied"
    )
    assert len({cost.state_bytes for cost in costs[20:]}) == 1
    assert len({cost.flops for cost in costs[20:]}) == 1
    assert archive.bytes_copied <= 3 * archive.bytes_held
    # Medians of 1000 frames each; growth with the stream would show as a factor of many.
    assert late < 1.5 * early
    assert len(session.ask([1, 2, 3], max_new_tokens=4).token_ids) == 4
