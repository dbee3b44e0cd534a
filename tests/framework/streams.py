"""Random frames and images for sessions over `ReferenceDecoder`."""

from typing import Any

import torch
from torch import Tensor

from crossframe.framework import FrameTokens, VideoSession


def frames(
    *sizes: int, start: int = 0, seed: int = 0, batch: int = 1, **more: Any
) -> list[FrameTokens]:
    """Frames of given token counts at the positions from `start` on."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for size in sizes:
        embeds = torch.randn(batch, size, 24, generator=generator, dtype=torch.float64)
        positions = torch.arange(start, start + size).expand(1, batch, -1)
        made.append(FrameTokens(embeds, positions, **more))
        start += size
    return made


def images(count: int, *, height: int = 4, seed: int = 0) -> Tensor:
    """uint8 [count, height, 4, 3]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, 4, 3), generator=generator).to(torch.uint8)


def push(session: VideoSession, *sizes: int) -> None:
    """Frames that go on where the stream stands, the same for every session that stands there."""
    for size in sizes:
        start = session.cursor.position
        session.push(frames(size, start=start, seed=start))
