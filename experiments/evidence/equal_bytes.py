"""Memories of equal bytes: what a rule keeps of its slots costs room that others use for slots."""

from __future__ import annotations

import torch
from torch import Tensor

from ...framework import CrossFrameMemory
from ...models import DecoderModel
from ..ablation.budgets import Matcher
from ..ablation.dry_run import DryRun, shown_again
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
    matcher = Matcher(budget, DryRun(model, shown_again(model, _prose(model))), None)
    variant = Variant(type(memory).__name__, "", memory, capacity, own)
    return matcher.sized(variant).memory


def _prose(model: DecoderModel) -> list[tuple[Tensor, float]]:
    """Some frames of prose, each ids [tokens] with its number."""
    ids = prose_ids(
        lambda text: model.reply_ids(text)[0].tolist(), "search", 0, FRAMES * FRAME_TOKENS
    )
    frames = torch.tensor(ids).split(FRAME_TOKENS)
    return [(frame, float(number)) for number, frame in enumerate(frames)]
