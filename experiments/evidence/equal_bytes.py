"""Memories of equal bytes: what a rule keeps of its slots costs room that others use for slots."""

from __future__ import annotations

import torch

from ...framework import CrossFrameMemory
from ...models import DecoderModel
from ..ablation.budgets import Matcher
from ..ablation.dry_run import DryRun, shown_again
from ..ablation.options import Budget
from ..ablation.variants import Variant, knob_of
from .prose import encoder, prose_ids
from .suites import FRAME_TOKENS

FRAMES = 16  # of prose, shown again and again: what is held hardly depends on the words
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
    knob, wanted = knob_of(memory), knob_of(like)
    capacity = None if wanted is None else vars(wanted.owner).get("capacity")
    if knob is None or capacity is None:
        raise ValueError(
            f"evidence: {memory!r} cannot have the bytes of {like!r}: the one needs a capacity or "
            "a window, the other a capacity"
        )
    ids = torch.tensor(prose_ids(encoder(model), "search", 0, FRAMES * FRAME_TOKENS))
    frames = [(part, float(number)) for number, part in enumerate(ids.split(FRAME_TOKENS))]
    budget = Budget("bytes", (capacity,), like=like, tolerance=TOLERANCE)
    matcher = Matcher(budget, DryRun(model, shown_again(model, frames)), None)
    variant = Variant(type(memory).__name__, "", memory, capacity, knob, "evidence")
    return matcher.sized(variant).memory
