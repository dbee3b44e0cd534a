"""Endless streams through transformers' rotary embeddings, which work in float32."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from crossframe.framework import FrameTokens, VideoModel, VideoSession
from crossframe.framework.frame_tokens import Cursor, advance
from crossframe.methods import ContiguousPositions, ReadCarried, StateKVMemory
from crossframe.models import DecoderModel

from ..every import FAMILIES, decoder

PLAN, SECONDS = 170, 60
QUESTION = [3, 1, 4]


@cache
def model(name: str, dtype: torch.dtype) -> VideoModel:
    return decoder(dtype) if name == "qwen2" else FAMILIES[name].model(dtype)


def stream(of: VideoModel, start: int, seconds: int) -> list[FrameTokens]:
    """Frames as the adapter places them behind `start`."""
    generator = torch.Generator().manual_seed(0)
    cursor, made = Cursor(position=start), []
    for second in range(0, seconds, of.frames_per_patch):
        if isinstance(of, DecoderModel):
            frame = of.frame(torch.randint(5, 200, (1, 9), generator=generator), cursor)
        else:
            shape = (of.frames_per_patch, 56, 56, 3)
            pixels = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
            times = [float(second + n) for n in range(of.frames_per_patch)]
            with torch.no_grad():
                frame = of.encode(pixels, times, cursor)
        made.append(frame)
        cursor = advance(cursor, frame)
    return made


def seen(of: VideoModel, start: int, plan: int, seconds: int = SECONDS) -> VideoSession:
    memory = ContiguousPositions(StateKVMemory(40), max_reach=100)
    session = VideoSession(of, memory, max_tokens=plan, reader=ReadCarried())
    for frame in stream(of, start, seconds):
        session.push(frame)
    return session


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", ["qwen2", "internvl3", "qwen3_vl"])
@pytest.mark.parametrize("start", [2**20, 2**24, 2**31])
def test_a_stream_that_starts_far_away_equals_one_that_starts_at_zero(name, start, dtype) -> None:
    of = model(name, dtype)
    near, far = seen(of, 0, PLAN), seen(of, start, PLAN)
    assert far.state.origin.moved == near.state.origin.now > 0
    assert torch.equal(far.slots(1).index, near.slots(1).index)
    assert torch.equal(far.question_logits(QUESTION), near.question_logits(QUESTION))
    answers = [one.ask(QUESTION, max_new_tokens=4) for one in (near, far)]
    assert torch.equal(answers[0].token_ids, answers[1].token_ids)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", ["qwen2", "internvl3", "qwen3_vl"])
def test_moving_the_origin_costs_no_more_than_rounding(name, dtype) -> None:
    # Planned for the whole stream, the same frames are counted from 0 to the end. The model scales
    # its RoPE by the plan beyond its trained range only.
    of = model(name, dtype)
    moves, stays = seen(of, 0, PLAN), seen(of, 0, of.trained_tokens)
    assert moves.state.origin.now > 0 == stays.state.origin.now
    logits = moves.question_logits(QUESTION), stays.question_logits(QUESTION)
    # Angles are float32 in both dtypes.
    assert float((logits[0] - logits[1]).abs().max()) < 1e-4
