"""StateKV: carry the slots that drew most attention from the current frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import ScoringMemory, Slots


@final
@dataclass(frozen=True)
class StateKVMemory(ScoringMemory):
    """Keep the `capacity` slots of highest attention mass, per layer and KV head.

    Rule: after each step rank [carried ; frame] by the mass received from the step's queries alone
    (summed over queries and the GQA group, no accumulation), keep the top `capacity`.

    Paper: Eyzaguirre, Wu, Niebles, "Linear Scaling Video VLMs for Long Video Understanding", arXiv
    2605.31598, equations 5 and 6; per KV head as in its appendix A.

    Args:
        capacity: slots per KV head, the paper's B (4096 there). Small values keep mostly the
            current frame's own tokens; None is full attention.

    Differences from the released code: attention stays causal inside a frame after eviction
    begins (the released eager path turns bidirectional), ties go to the newer slot, and frames may
    differ in tokens.

    Cost per frame: attention over at most capacity + frame tokens; constant in the video's length.
    Bytes held: `capacity` keys and values per layer and KV head.
    """

    needs_mass = True
    graphable = True

    def score(self, slots: Slots) -> Tensor:
        assert slots.mass is not None  # needs_mass asks for it
        return slots.mass
