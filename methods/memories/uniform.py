"""Uniform: even coverage of the whole stream, by thinning it in powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots, require_one_of

UNITS = ("frame", "token")


@final
@dataclass(frozen=True)
class UniformMemory(ScoringMemory):
    """Keep frames (or tokens) evenly spaced over the whole stream so far, by dyadic thinning.

    Rule: rank slots by how many zero bits their frame number ends with, ties to the newer: 0 above
    all, then multiples of the largest power of two, odd numbers last. Ranks never change, so at any
    time the slots held are those that a choice from the whole stream would keep: every multiple of
    some power of two, and of the next finer level the newest that fit. Gaps are thus of two sizes,
    one twice the other.

    Args:
        capacity: slots per KV head; None is full attention. The oldest frame of the finest level
            may be held in part, its last tokens.
        unit: "frame" keeps whole frames, the text before the video together with frame 0. "token"
            keeps tokens by token number, the text's among them: more frames, of each a part. With a
            power of two of tokens per frame these are the same places of every frame, and once
            fewer slots than frames are there, first tokens only.

    Raises:
        ValueError: for another unit.

    Differences from the "uniform" of InfiniPot-V (arXiv 2506.15745): that one picks evenly from
    what is in the cache, again after each block, so that the past gets geometrically thinner and
    most slots lie near the end. This one covers past and present alike; most new frames leave at
    once. `ReservoirMemory` is even on average instead of by construction.

    Cost per frame: attention over at most capacity + frame tokens. Bytes held: `capacity` slots.
    """

    unit: str = "frame"
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("UniformMemory", "unit", self.unit, UNITS)

    def score(self, slots: Slots) -> Tensor:
        number = slots.index if self.unit == "token" else slots.frame
        # The lowest bit that is set ranks as the number of zeros behind it does.
        lowest_bit = number & -number
        return lowest_bit.masked_fill(number <= 0, torch.iinfo(torch.int64).max)
