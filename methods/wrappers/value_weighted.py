"""Value-weighted score: how much a slot can change the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import Slots, WrappedRankingMemory
from ..selection import widened


@final
@dataclass(frozen=True)
class ValueWeighted(WrappedRankingMemory):
    """Rank by score times the length of the value.

    Rule: score x ||value||_2. Where the score is attention mass this bounds what the outputs of the
    step lose with the slot: a sink draws mass, but its short value adds little.

    Paper: Guo, Kamigaito, Watanabe, "Attention Score is not All You Need for Token Importance
    Indicator in KV Cache Reduction: Value Also Matters" (VATP), arXiv 2406.12335.

    Args:
        inner: a memory whose scores are not negative, such as mass. Scores below 0 (KeyDiff, Knorm)
            would make long values rank last, so they are refused.

    Raises:
        ValueError: at a push, if scores are negative. Checked on the CPU only: an accelerator would
            have to be waited for.

    Differences from the paper: it takes the 1-norm of the value, and keeps the first tokens of the
    prompt in any case because their values are short; here `ProtectedSinks` outside does that. The
    mass is the inner memory's, of the last step.

    Cost per frame: the inner memory's and one pass over the values. Bytes held: its own.
    """

    def score(self, slots: Slots) -> Tensor:
        score = self.inner.score(slots)
        if score.device.type == "cpu" and bool((score < 0).any()):
            raise ValueError(
                f"ValueWeighted: {self.inner!r} gives negative scores, which a longer value would "
                "rank lower; wrap a memory that ranks by mass"
            )
        return score * torch.linalg.vector_norm(widened(slots.values), dim=-1)
