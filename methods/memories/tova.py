"""TOVA: what the newest token attends to, for all heads together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots, require_count


@final
@dataclass(frozen=True)
class TOVAMemory(ScoringMemory):
    """Keep the slots that the frame's last token attends to most, the same ones in every head.

    Rule: after each step rank [carried ; frame] by the attention weights of the step's last `rows`
    queries, averaged over these and over all query heads of the layer.

    Paper: Oren et al., "Transformers are Multi-State RNNs", arXiv 2401.06104 (token omission via
    attention).

    Args:
        capacity: slots per KV head; None is full attention.
        rows: how many of a step's last tokens decide; a shorter step asks all of its tokens. A
            frame may end in a text marker, whose view is the only one at `rows=1`; more rows take
            visual tokens in. Among those rows a late token is seen by fewer.

    Raises:
        ValueError: if rows is not a positive integer; at a push, if heads hold different numbers of
            slots, as under a memory that gives every head a budget of its own: one set for all
            heads does not exist then.

    The newest slot competes as in the released code and may go at once; kvpress always keeps it, as
    does `ProtectedRecent(TOVAMemory(capacity), tokens=1)`.

    Differences from the released code: it evicts one token for every token decoded; here a frame
    passes and its last token speaks for it, as the prompt's does there. It rounds weights to the
    model's dtype before it averages them, so that more of them tie.

    Cost per frame: attention over at most capacity + frame tokens, and once more the weights of
    `rows` queries. Bytes held: `capacity` slots.
    """

    rows: int = 1
    graphable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("TOVAMemory", "rows", self.rows, least=1, unbounded=False)

    def score(self, slots: Slots) -> Tensor:
        if slots.valid is not None:
            raise ValueError(
                "TOVAMemory keeps one set of slots for all heads of a layer, but its heads hold "
                "different numbers of slots: do not wrap it in a memory that gives each head a "
                "budget of its own"
            )
        last = torch.arange(-min(self.rows, slots.num_new), 0, device=slots.index.device)
        weights = slots.mass_of(last).mean(1, keepdim=True) / len(last)
        return weights.expand_as(slots.index)
