"""Memories of equal bytes: what a rule keeps of its slots costs room that others use for slots."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ...framework import CrossFrameMemory, Cursor, FrameTokens
from ...framework.frame_tokens import advance
from ...models import DecoderModel
from ..ablation.budgets import Matcher
from ..ablation.dry_run import DryRun
from ..ablation.knobs import knob_of
from ..ablation.options import Budget
from ..ablation.variants import Variant
from .prose import prose_ids
from .suites import FRAME_TOKENS

FRAMES = 16  # of prose, shown again and again: what is held hardly depends on what they say
TOLERANCE = 0.05  # a window is sized in whole frames


def at_equal_bytes(
    model: DecoderModel, memory: CrossFrameMemory, like: CrossFrameMemory
) -> CrossFrameMemory:
    """The memory at the size whose state has nearest to the bytes of another's.

    Args:
        memory: whatever its capacity, or window, is.
        like: with a capacity, such as StateKV.

    Raises:
        ValueError: for a memory without a size, or none within a twentieth of the bytes.
    """
    own, wanted = knob_of(memory), knob_of(like)
    capacity = None if wanted is None else vars(wanted.owner).get("capacity")
    if own is None or capacity is None:
        raise ValueError(
            f"evidence: {memory!r} cannot have the bytes of {like!r}: the one needs a capacity or "
            "a window, the other a capacity"
        )
    budget = Budget("bytes", (capacity,), like=like, tolerance=TOLERANCE)
    matcher = Matcher(budget, DryRun(model, _stream(model)), None)
    variant = Variant(type(memory).__name__, "", memory, capacity, own)
    return matcher.sized(variant).memory


def _stream(model: DecoderModel) -> Iterator[FrameTokens]:
    """The model's start, and frames of prose without end."""

    def encode(text: str) -> list[int]:
        return model.reply_ids(text)[0].tolist()

    cursor = Cursor()
    start = model.prologue(cursor)
    if start is not None:
        yield start
        cursor = advance(cursor, start)
    ids = torch.tensor([prose_ids(encode, "search", 0, FRAMES * FRAME_TOKENS)])
    while True:
        for part in ids.split(FRAME_TOKENS, 1):
            frame = model.frame(part, cursor)
            yield frame
            cursor = advance(cursor, frame)
