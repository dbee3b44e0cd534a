"""Random frames and images for sessions over `ReferenceDecoder`, and slots without a session."""

from typing import Any

import torch
from torch import Tensor

from crossframe.framework import CrossFrameMemory, FrameTokens, Slots, VideoSession
from crossframe.framework.reference import ReferenceDecoder


def frames(
    *sizes: int,
    start: int = 0,
    seed: int = 0,
    batch: int = 1,
    axes: int = 1,
    hidden: int = 24,
    **more: Any,
) -> list[FrameTokens]:
    """Frames of given token counts at the positions from `start` on, the same on all axes."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for size in sizes:
        embeds = torch.randn(batch, size, hidden, generator=generator, dtype=torch.float64)
        positions = torch.arange(start, start + size).expand(axes, batch, -1)
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


def pushed(memory: CrossFrameMemory, *sizes: int, **options: Any) -> VideoSession:
    """A session after frames of these token counts, pushed one by one."""
    session = VideoSession(ReferenceDecoder(), memory, **options)
    push(session, *sizes)
    return session


def slots(count: int, **more: Any) -> Slots:
    """Of zeros and frames of one token, [1, 2, count, 4], or with other columns."""
    index = torch.arange(count).expand(1, 2, -1)
    rows = torch.zeros(1, 2, count, 4)
    columns = {"frame": index, "visual": index >= 0, "positions": index[None]}
    return Slots(keys=rows, values=rows, index=index, **{**columns, **more})
