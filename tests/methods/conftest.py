"""Streams small enough to read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from crossframe.framework import CrossFrameMemory, FrameTokens, VideoSession
from crossframe.framework.reference import ReferenceDecoder


@pytest.fixture
def frames() -> Callable[..., list[FrameTokens]]:
    """Random frames of given token counts, with positions 0, 1, 2, ..."""

    def make(*sizes: int, batch: int = 1, seed: int = 0) -> list[FrameTokens]:
        generator = torch.Generator().manual_seed(seed)
        start, made = 0, []
        for size in sizes:
            embeds = torch.randn(batch, size, 24, generator=generator, dtype=torch.float64)
            positions = torch.arange(start, start + size).expand(1, batch, -1)
            made.append(FrameTokens(embeds, positions))
            start += size
        return made

    return make


@pytest.fixture
def open_session() -> Callable[[CrossFrameMemory], VideoSession]:
    """A session over a small plain-torch decoder."""
    return lambda memory: VideoSession(ReferenceDecoder(), memory)
