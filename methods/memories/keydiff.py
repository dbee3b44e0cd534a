"""KeyDiff: slots whose keys differ from the others'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import ScoringMemory, Slots
from ..selection import real_slots, unit_rows

# Cosines are told apart in steps of 2^-24, the last bit of float32 just below 1.
STEPS = 2.0**24


@final
@dataclass(frozen=True)
class KeyDiffMemory(ScoringMemory):
    """Keep the slots whose keys point away from the mean direction, per layer and KV head.

    Rule: score = -cos(key, mean of all keys of [carried ; frame] at length 1), on post-RoPE keys as
    they are stored, rounded to 2^-24. Keys that repeat what most say go first. Two slots are
    equally far from their mean: with room for one, the newer stays.

    Paper: Park et al., "KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM
    Inference in Resource-Constrained Environments", arXiv 2504.15364.

    Args:
        capacity: slots per KV head; None is full attention. Nothing protects the newest frame: one
            that looks like what is held leaves at once.

    Differences from the paper: none in the rule; blocks of a prompt are frames here. Computed in
    float64, so that what is equal in the rule does not differ by rounding, which depends on the
    rows beside it in a batch.

    Cost per frame: attention over at most capacity + frame tokens, no attention mass; two passes
    over the keys. Bytes held: `capacity` slots.
    """

    graphable = True

    def score(self, slots: Slots) -> Tensor:
        unit = unit_rows(slots.keys.double()).masked_fill(~real_slots(slots)[..., None], 0)
        # The sum points where the mean does.
        anchor = unit_rows(unit.sum(2, keepdim=True))
        cosine = ((unit * anchor).sum(-1) * STEPS).round() / STEPS
        return -cosine.float()  # holds such steps exactly
