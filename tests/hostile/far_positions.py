"""Streams that begin anywhere and leap any distance: counted from elsewhere, or refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from crossframe.framework import CrossFrameMemory, FrameTokens, FullMemory, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.origin import FARTHEST
from crossframe.methods import (
    ContiguousPositions,
    ReadCarried,
    SinksAndRecentMemory,
    StateKVMemory,
)

from .cases import Case, Family

PLAN, FRAMES = 40, 16
REFUSAL = (str(FARTHEST), "ContiguousPositions")
STAYING = (FullMemory(), StateKVMemory(6))
MOVING = (
    ContiguousPositions(StateKVMemory(6)),
    ContiguousPositions(StateKVMemory(6), max_reach=20),
    SinksAndRecentMemory(6, positions="contiguous"),
)


@cache
def model(axes: int) -> ReferenceDecoder:
    return ReferenceDecoder(axes=axes)


def embedded(seed: int, count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 3, 24, generator=generator, dtype=torch.float64) for _ in range(count)]


def logits(memory: CrossFrameMemory, axes: int, seed: int, starts: list[int]) -> Tensor:
    """Of a question behind frames of three tokens at these positions."""
    session = VideoSession(model(axes), memory, max_tokens=PLAN, reader=ReadCarried())
    for start, embeds in zip(starts, embedded(seed, len(starts)), strict=True):
        place = start + torch.arange(3).expand(axes, 1, 3)
        before = session.cursor
        try:
            session.push(FrameTokens(embeds, place))
        except ValueError:
            assert session.cursor == before
            raise
    return session.question_logits([3, 1, 4])


def equals(expected: Callable[[], Tensor]) -> Callable[[object], None]:
    def check(found: object) -> None:
        assert isinstance(found, Tensor)
        assert float((found - expected()).abs().max()) < 1e-6

    return check


def far_start(draw: Random, folder: Path) -> Case:
    """The same frames behind any position answer as behind 0."""
    del folder
    memory = draw.choice((*STAYING, *MOVING))
    count = draw.randint(1, 8 if memory in STAYING else FRAMES)
    axes, seed, start = (
        draw.choice((1, 3)),
        draw.randrange(99),
        draw.randrange(2 ** draw.randint(1, 50)),
    )
    near = [3 * number for number in range(count)]
    return Case(
        f"{memory}, {count} frames from position {start}",
        lambda: logits(memory, axes, seed, [start + place for place in near]),
        right=equals(lambda: logits(memory, axes, seed, near)),
        names=REFUSAL,
    )


def leap(draw: Random, folder: Path) -> Case:
    """A leap between two frames is the same wherever the stream begins, or too far."""
    del folder
    memory = draw.choice((*STAYING, *MOVING))
    count = draw.randint(2, 8 if memory in STAYING else FRAMES)
    axes, seed, by = draw.choice((1, 3)), draw.randrange(99), 2 ** draw.randint(3, 45)
    place = draw.randrange(1, count)
    starts = [3 * number + (by if number >= place else 0) for number in range(count)]
    far = by > 3 * FARTHEST
    return Case(
        f"{memory}, {count} frames with a leap of {by} before frame {place}",
        lambda: logits(memory, axes, seed, starts),
        right=None if far else equals(lambda: moved(memory, axes, seed, starts)),
        names=REFUSAL,
    )


def moved(memory: CrossFrameMemory, axes: int, seed: int, starts: list[int]) -> Tensor:
    return logits(memory, axes, seed, [2**20 + start for start in starts])


def long_plan(draw: Random, folder: Path) -> Case:
    """A planned length of any size opens a session, or is beyond what float32 holds."""
    del folder
    length, memory = draw.randrange(1, 2 ** draw.randint(7, 40)), draw.choice((*STAYING, *MOVING))
    fits = length <= FARTHEST
    return Case(
        f"max_tokens={length}",
        lambda: VideoSession(model(1), memory, max_tokens=length),
        right=(lambda session: None) if fits else None,
        names=(str(length), *REFUSAL),
    )


FAMILIES = (
    Family("far start", far_start, 60),
    Family("leap", leap, 60),
    Family("long plan", long_plan, 30),
)
