"""H2O: heavy hitters, the slots that drew most attention since they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import ScoringMemory, Slots, require_count, require_one_of
from ..selection import newest, queries_that_see, require_fits

NORMALISATIONS = ("none", "age")


@final
@dataclass(frozen=True)
class H2OMemory(ScoringMemory):
    """Keep the newest `recent` slots and, of the others, those of largest accumulated mass.

    Rule: every step adds the mass that each slot of [carried ; frame] receives from the step's
    queries (summed over queries and the GQA group) to what it received before. The newest `recent`
    slots stay, and the room left goes to the largest sums. Without accumulation and with
    `recent=0` this is StateKV.

    Paper: Zhang et al., "H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large
    Language Models", arXiv 2306.14048.

    Args:
        capacity: slots per KV head; None is full attention.
        recent: of them, how many are the newest tokens whatever they drew; None is half, as in the
            released code. 0 leaves all room to sums, which a new frame has had one step to gather.
        normalise: "none" ranks by sums, in which a slot of a hundred frames outweighs a new one;
            "age" by sums divided by the number of queries that could have seen the slot. Under
            causal attention the token at place t of a step of T tokens could be seen by T - t of
            its queries, itself included, and by all queries of every later step. The last token of
            a frame then stands on its own query alone, which favours it: `recent` keeps it anyway.

    Raises:
        ValueError: for an unknown normalisation, or if `recent` does not fit into the capacity.

    Differences from the released code: it has as many heads of keys as of queries, and here mass is
    summed over the group that shares a KV head; rows of a batch are not summed into one. "age" is
    not in the paper. Under `in_frame="bidirectional"` ages still count as if frames were causal.

    Cost per frame: attention with mass over at most capacity + frame tokens. Bytes held: `capacity`
    slots with their sum (and number of queries) each.
    """

    recent: int | None = None
    normalise: str = "none"
    needs_mass = True
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("H2OMemory", "recent", self.recent)
        require_fits("H2OMemory", "recent", self.recent or 0, self.capacity)
        require_one_of("H2OMemory", "normalise", self.normalise, NORMALISATIONS)

    def score(self, slots: Slots) -> Tensor:
        assert slots.mass is not None  # needs_mass asks for it
        score = _added(slots, "h2o_mass", slots.mass)
        if self.normalise == "age":
            score = score / _added(slots, "h2o_queries", queries_that_see(slots))
        return score

    def protected(self, slots: Slots) -> Tensor:
        recent = (self.capacity or 0) // 2 if self.recent is None else self.recent
        return newest(slots, recent).expand_as(slots.visual)


def _added(slots: Slots, name: str, amount: Tensor) -> Tensor:
    """[B, K, S] a running sum per slot, after this step's amount (broadcastable to it)."""
    before = slots.stats.get(name, amount.new_zeros(slots.index.shape))
    slots.stats[name] = before + amount
    return slots.stats[name]
