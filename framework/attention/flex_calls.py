"""The two calls of flex attention, as they are compiled.

Apart from the backend because torch's flex attention takes a second to import, sympy and all.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, flex_attention

# The kernel wants values of at least 16 numbers, of which the mass needs none.
NO_VALUES = 16


def read_folded(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    reach: Tensor | None,
    valid: Tensor | None,
    scale: Tensor,
) -> tuple[Tensor, Tensor]:
    """[B, K, rows, D] and lse [B, K, rows] of folded queries, of which row i sees the first
    reach[i] keys."""

    def score(raw: Tensor, b: Tensor, k: Tensor, row: Tensor, key: Tensor) -> Tensor:
        scaled = raw * scale
        if reach is not None:
            scaled = torch.where(key < reach[row], scaled, -float("inf"))
        if valid is not None:
            scaled = torch.where(valid[b, k, key], scaled, -float("inf"))
        return scaled

    output, aux = flex_attention(
        query, keys, values, score_mod=score, scale=1.0, return_aux=AuxRequest(lse=True)
    )
    assert aux.lse is not None  # asked for
    return output, aux.lse


def mass_of_folded(
    query: Tensor, keys: Tensor, lse: Tensor, reach: Tensor | None, scale: Tensor
) -> Tensor:
    """[B, K, S]: the sum of e^(score - lse) over the folded queries that see a key."""

    def share(raw: Tensor, b: Tensor, k: Tensor, key: Tensor, row: Tensor) -> Tensor:
        biased = raw * scale - lse[b, k, row]
        return biased if reach is None else torch.where(key < reach[row], biased, -float("inf"))

    nothing = query.new_zeros(*query.shape[:3], NO_VALUES)
    _, aux = flex_attention(
        keys, query, nothing, score_mod=share, scale=1.0, return_aux=AuxRequest(lse=True)
    )
    assert aux.lse is not None  # asked for
    return aux.lse.exp()
