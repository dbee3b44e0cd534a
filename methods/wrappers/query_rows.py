"""Query rows: which of a frame's queries hand out the mass that ranks the slots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from ...framework import Slots, WeightReductions, WrappedRankingMemory, require_count
from ..selection import require_used

NAMES = ("all", "last", "text")


@final
@dataclass(frozen=True)
class QueryRows(WrappedRankingMemory):
    """Let only some of a step's queries decide.

    Rule: the inner memory sees the attention mass, and other reductions of the weights, of the
    chosen rows of the step alone.

    Paper: an ablation of StateKV (arXiv 2605.31598), which asks all rows. The last row alone is
    TOVA's view (arXiv 2401.06104), a window of last rows that of SnapKV (arXiv 2404.14469).

    Args:
        inner: a memory that ranks by the step's mass.
        rows: "all"; "last", the step's last token; a number, that many last tokens (all of a
            shorter step); or "text", its text markers, such as the ones around a frame. A step
            without text markers is asked by its last token, which is about as many rows and as
            cheap; the prompt, all text, by all of it. Few rows see what they need themselves: a
            late token gives the frame's end and the sinks much of its mass.

    Raises:
        ValueError: for other rows or an inner memory that does not use mass; with "text", at a
            push, if rows of the batch have their text markers in different places.

    Do not put it around `CausalityCorrected`, which takes mass to come from all rows.

    Cost per frame: the inner memory's, but instead of the mass of all queries only the weights of
    the chosen rows are computed, and attention itself may use the fused kernel. Counted with the
    memory's update, not with the step. "text" reads where the markers are, which an accelerator
    waits for, once per layer and step. Bytes held: the inner memory's.
    """

    rows: str | int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_used("QueryRows", "weights", self.inner.looks_at_weights, self.inner)
        if isinstance(self.rows, str):
            if self.rows not in NAMES:
                raise ValueError(
                    f"QueryRows: rows must be one of {NAMES} or a number of last rows, got "
                    f"{self.rows!r}"
                )
        else:
            require_count("QueryRows", "rows", self.rows, least=1, unbounded=False)
        if self.rows != "all":  # then attention need not give more than its output
            self.declare(needs_mass=False, reductions=())
        if self.rows == "text":  # read on the host
            self.declare(graphable=False)

    def score(self, slots: Slots) -> Tensor:
        if self.rows == "all":
            return self.inner.score(slots)
        weights = slots.weights_of(self._chosen(slots)).flatten(2, 3)
        received = WeightReductions(self.inner.reductions, self.inner.needs_mass, slots.values)
        received.add(weights)
        return self.inner.score(replace(slots, mass=received.mass, reduced=received.reduced))

    def _chosen(self, slots: Slots) -> Tensor:
        """[n] row numbers, negative from the end, or [num_new] bool."""
        if self.rows == "text":
            text = _text_rows(slots)
            if bool(text.any()):
                return text
        count = self.rows if isinstance(self.rows, int) else 1
        return torch.arange(-min(count, slots.num_new), 0, device=slots.index.device)


def _text_rows(slots: Slots) -> Tensor:
    """[num_new] bool: the step's tokens that are not visual."""
    # The same in every head, and new slots are never padding.
    text = ~slots.visual[:, 0, slots.num_slots - slots.num_new :]
    if bool((text != text[:1]).any()):
        raise ValueError(
            "QueryRows: rows of the batch have their text markers in different places, so that no "
            'set of query rows serves all; push them in sessions of their own, or use rows="last"'
        )
    return text[0]
