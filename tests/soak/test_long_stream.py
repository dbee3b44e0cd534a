"""Three hours of video at one frame per second: state, time per frame and the process stay flat.

Left out of `make test`; run with `make soak`, which prints the figures.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

import pytest
import torch

from crossframe.framework import FrameTokens, NoArchive, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import ContiguousPositions, ReadCarried, StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

FRAMES = 3 * 60 * 60
TOKENS = 6


@pytest.mark.soak
def test_three_hours_of_frames_cost_the_same_each() -> None:
    model = DecoderModel(tiny_qwen2())
    session = VideoSession(
        model, StateKVMemory(48), max_tokens=FRAMES * TOKENS + 64, cost_history=None
    )
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
    assert archive.bytes_copied <= 1.05 * archive.bytes_appended
    # Medians of 1000 frames each; growth with the stream would show as a factor of many.
    assert late < 1.5 * early
    assert len(session.ask([1, 2, 3], max_new_tokens=4).token_ids) == 4


@pytest.mark.soak
def test_four_hundred_moves_of_the_origin_leave_no_trace() -> None:
    memory = ContiguousPositions(StateKVMemory(9), max_reach=30)
    moves, stays = (
        VideoSession(ReferenceDecoder(), memory, max_tokens=plan, reader=ReadCarried())
        for plan in (48, 20_100)
    )
    generator, origins = torch.Generator().manual_seed(0), set()
    for number in range(5000):
        embeds = torch.randn(1, 4, 24, generator=generator, dtype=torch.float64)
        frame = FrameTokens(embeds, 4 * number + torch.arange(4)[None, None])
        moves.push(frame)
        stays.push(frame)
        origins.add(moves.state.origin.now)
    logits = [session.question_logits([3, 1, 4]) for session in (moves, stays)]
    difference = float((logits[0] - logits[1]).abs().max())
    print(
        f"\n{len(origins) - 1} moves of the origin in 20000 tokens: logits off by {difference:.1e}"
    )
    assert len(origins) > 400 and difference < 1e-8
    assert torch.equal(moves.slots(1).index, stays.slots(1).index)


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_an_endless_stream_holds_constant_memory() -> None:
    """Without an archive, and with questions on the way; measured on the process."""
    model = DecoderModel(tiny_qwen2())
    session = VideoSession(
        model,
        StateKVMemory(48),
        archive=NoArchive(),
        reader=ReadCarried(),
        max_tokens=2 * FRAMES * TOKENS + 64,
        cost_history=500,
    )
    generator, held = torch.Generator().manual_seed(0), list[int]()
    for number in range(2 * FRAMES):
        ids = torch.randint(0, model.spec.vocab, (1, TOKENS), generator=generator)
        session.push(model.frame(ids, session.cursor))
        if number % 50 == 0:
            session.question_logits([1, 2, 3])
        if number >= 2000 and number % 200 == 0:
            held.append(resident_bytes())
    early, late = median(held[:20]), median(held[-20:])
    print(f"\n{2 * FRAMES} frames: {early / 2**20:.1f} MiB resident early, {late / 2**20:.1f} late")
    assert len(session.costs) == 500
    assert session.costs.totals.steps == 2 * FRAMES
    assert session.costs.totals.tokens == session.cursor.tokens == 2 * FRAMES * TOKENS
    # All steps' costs would be 10 MiB; what is left is the allocator's own.
    assert late - early < 2 * 2**20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
