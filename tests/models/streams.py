"""What tests of adapters share: random videos, and streams over them that can be compared."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import CrossFrameMemory, Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.models.hf import HFDecoder

from ..every import UNBOUNDED

QUESTION = "What happens in this video?"
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def video(frames: int, size: tuple[int, int] = (70, 100), seed: int = 0) -> Tensor:
    """[frames, height, width, 3] random uint8; a shorter video is the beginning of a longer one."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, *size, 3), generator=generator).to(torch.uint8)


def token_ids(count: int, seed: int = 0, batch: int = 1) -> Tensor:
    return torch.randint(0, 300, (batch, count), generator=torch.Generator().manual_seed(seed))


def cuts(count: int) -> st.SearchStrategy[list[int]]:
    """Sizes of consecutive runs that hold `count` things."""
    marks = st.sets(st.integers(1, max(count - 1, 1)))
    ends = marks.map(lambda inner: [0, *sorted(inner & set(range(1, count))), count])
    return ends.map(lambda e: [b - a for a, b in pairwise(e)])


def session_after(
    model: HFDecoder, *pushes: object, memory: CrossFrameMemory | None = None, **options: Any
) -> VideoSession:
    session = VideoSession(model, memory or FullMemory(), **options)
    for frames in pushes:
        session.push(frames)
    return session


def asked(session: VideoSession, question: str = QUESTION) -> Tensor:
    return session.question_logits(session.model.question_ids(question))


def pushed_in_cuts(
    data: st.DataObject, model: HFDecoder, frames: Tensor, times: Sequence[float] | None = None
) -> VideoSession:
    """A stream of the frames, drawn: which memory, how many a push, how many a step."""
    memory, per_step = data.draw(st.sampled_from(UNBOUNDED)), data.draw(st.integers(1, 4))
    session, first = VideoSession(model, memory, frames_per_step=per_step), 0
    for size in data.draw(cuts(len(frames))):
        part = slice(first, first + size)
        session.push(frames[part], times and times[part])
        first += size
    return session


def patches(model: HFDecoder, *seeds: int) -> list[FrameTokens]:
    """Pairs of frames as patches of one stream, one for each seed."""
    found, cursor = [], Cursor()
    for number, seed in enumerate(seeds):
        with torch.no_grad():
            found.append(model.encode(video(2, seed=seed), [None, None], cursor))
        cursor = Cursor(0, number + 1, int(found[-1].positions.max()) + 1)
    return found


def rotary_products(model: HFDecoder, tokens: int = 3) -> int:
    """FLOPs that a rotary embedding spends; transformers 5.17 multiplies matrices there."""
    axes = (model.position_axes,) if model.position_axes > 1 else ()
    positions = torch.arange(tokens).expand(*axes, 1, -1)
    with flop_counter() as counter:
        model.decoder.rotary_emb(torch.zeros(1, tokens, 4), positions)
    return counter.get_total_flops()
