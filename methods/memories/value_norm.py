"""Value norm: slots that change the output most where they are attended to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots
from ..selection import widened


@final
@dataclass(frozen=True)
class ValueNormMemory(ScoringMemory):
    """Keep the slots of longest values, per layer and KV head.

    Rule: score = ||value||, final when the token comes: what is carried are the best of the whole
    stream.

    Paper: the VaN half of InfiniPot-V, Kim et al., arXiv 2506.15745, alone and without pooling, to
    tell what each half gives.

    Args:
        capacity: slots per KV head; None is full attention. Attention sinks tend to have short
            values, and leave early.

    Differences from the paper: VaN there ranks visual tokens only, beside recent frames and patches
    that changed, and keeps the prompt; here all tokens compete, text too.

    Cost per frame: attention over at most capacity + frame tokens, no attention mass; one pass over
    the values. Bytes held: `capacity` slots.
    """

    graphable = True

    def score(self, slots: Slots) -> Tensor:
        return torch.linalg.vector_norm(widened(slots.values), dim=-1)
