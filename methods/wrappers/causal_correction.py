"""Causality correction: late tokens of a frame are seen by few of its queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from ...framework import Slots, WrappedRankingMemory
from ..selection import queries_that_see, require_used


@final
@dataclass(frozen=True)
class CausalityCorrected(WrappedRankingMemory):
    """Rank the step's own tokens by mass per query that could see them.

    Rule: inside a step of T tokens attention is causal, so token t (from 0) draws mass from T - t
    queries, and carried slots from all T. The inner memory sees the mass of token t times
    T / (T - t); carried slots as they are.

    Paper: StateKV (arXiv 2605.31598) sums without such a correction, which favours early tokens of
    a frame; this is the ablation.

    Args:
        inner: a memory that ranks by the step's mass. The last token's mass is T times that of its
            own query, and a query looks at its own token much: it is all but certain to stay.

    Raises:
        ValueError: if the inner memory does not use mass, or only that of chosen rows (QueryRows).

    For `in_frame="causal"` only: where frames are bidirectional, every token of a frame is seen by
    all of its queries and this correction would be wrong. With several frames per step, T counts
    the tokens of the step. Memories that count the queries of a token themselves (H2O by age) would
    be corrected twice. The mass no longer sums to the number of queries.

    Cost per frame and bytes held: the inner memory's.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require_used("CausalityCorrected", "mass", self.inner.needs_mass, self.inner)

    def score(self, slots: Slots) -> Tensor:
        assert slots.mass is not None  # needs_mass asks for it
        seen_by = queries_that_see(slots).clamp(min=1)
        mass = slots.mass * max(slots.num_new, 1) / seen_by
        return self.inner.score(replace(slots, mass=mass))
