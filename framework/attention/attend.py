"""Prefix-causal attention that also returns the attention mass each key receives.

Letters: B batch, H query heads, K KV heads, G = H / K, T new tokens, S keys, D head_dim.
The last T keys are the queries' own tokens; all keys before them are fully visible.

Three implementations, equal up to rounding:
- "plain": the whole queries x keys matrix at once. The reference.
- "chunked": exact softmax over a few query rows at a time; never holds the whole matrix, and the
  mass costs no further product of queries and keys.
- "sdpa": torch's fused attention for the output; mass, if asked for, by a second pass in chunks.
"auto" takes "sdpa" where no mass is needed and "chunked" where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from .reductions import WeightReductions

IMPLEMENTATIONS = ("auto", "plain", "chunked", "sdpa")

# Weights held at a time by the chunked passes: 1 Mi numbers, 4 MiB in float32. Measured on one CPU
# core with 259 queries, 14 heads and 4355 keys: 58, 48 and 62 ms at 2^19, 2^20 and 2^22.
CHUNK_NUMBERS = 1 << 20


@dataclass(frozen=True, eq=False)
class Visibility:
    """Which keys a query row of the step sees.

    Attributes:
        block: [T] int64 for `in_frame="bidirectional"`: the frame each new token belongs to; a row
            sees its own frame whole and earlier ones. None is causal.
        valid: [B, K, S] bool for ragged heads, None where every slot is real.
    """

    block: Tensor | None = None
    valid: Tensor | None = None

    def own_rows(self, rows: Tensor, num_new: int) -> Tensor:
        """[n, T] bool: which of the step's own tokens the given rows see, before `valid`; all
        earlier keys are visible."""
        if self.block is None:
            return torch.arange(num_new, device=rows.device)[None, :] <= rows[:, None]
        own = self.block.to(rows.device)
        return own[None, :] <= own[rows][:, None]


class Attended(NamedTuple):
    """What a step's attention gives.

    Attributes:
        output: [B, H, T, D].
        mass: [B, K, S], the sum over the step's queries and the GQA group of the weights each key
            receives, or None. Float32, float64 for float64 inputs.
        reduced: [B, K, S] by name, other reductions of the same weights, see `reductions.py`.
    """

    output: Tensor
    mass: Tensor | None
    reduced: dict[str, Tensor]


def implementation_for(requested: str, needs_mass: bool) -> str:
    """The implementation that "auto" stands for, or the requested one.

    Args:
        needs_mass: mass or another reduction of the weights is asked for.

    Raises:
        ValueError: for an unknown name.
    """
    if requested not in IMPLEMENTATIONS:
        raise ValueError(f"attention must be one of {IMPLEMENTATIONS}, got {requested!r}")
    if requested == "auto":
        return "chunked" if needs_mass else "sdpa"
    return requested


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    scale: float,
    visibility: Visibility,
    needs_mass: bool = False,
    reductions: Sequence[str] = (),
    implementation: str = "auto",
) -> Attended:
    """Attention of a step's queries over [carried ; new].

    Args:
        query: [B, H, T, D].
        keys, values: [B, K, S, D], S >= T; the last T are the queries' own.
        scale: factor before the softmax.
        reductions: names of `REDUCTIONS` to compute beside the mass.
    """
    received = WeightReductions(reductions, needs_mass, values)
    chosen = implementation_for(implementation, received.wanted)
    if chosen != "sdpa":
        rows_at_once = None if chosen == "plain" else _rows_at_once(query, keys)
        output = _in_chunks(query, keys, values, scale, visibility, received, rows_at_once)
    else:
        if received.wanted:
            for rows in _chunks(query, _rows_at_once(query, keys)):
                received.add(_weights(query, keys, scale, visibility, rows))
        output = _fused(query, keys, values, scale, visibility)
    return Attended(output, received.mass, received.reduced)


def weights_of(
    query: Tensor, keys: Tensor, rows: Tensor, *, scale: float, visibility: Visibility
) -> Tensor:
    """[B, K, G, n, S]: the attention weights of n chosen rows of every query head."""
    weights = _weights(query, keys, scale, visibility, rows)
    return weights.unflatten(2, (query.shape[1] // keys.shape[1], len(rows)))


def _weights(
    query: Tensor, keys: Tensor, scale: float, visibility: Visibility, rows: Tensor
) -> Tensor:
    """[B, K, G*n, S] softmax weights of n query rows, at least in float32."""
    num_kv_heads, num_keys = keys.shape[1:3]
    wide = torch.float64 if query.dtype == torch.float64 else torch.float32
    picked = rearrange(query[:, :, rows].to(wide), "b (k g) t d -> b k (g t) d", k=num_kv_heads)
    scores_qk = (picked * scale) @ keys.to(wide).transpose(-1, -2)
    grouped = scores_qk.unflatten(2, (query.shape[1] // num_kv_heads, len(rows)))
    # Only the step's own columns can be hidden; touching the others would cost as much as softmax.
    hidden = ~visibility.own_rows(rows, query.shape[2])
    grouped[..., num_keys - query.shape[2] :].masked_fill_(hidden, float("-inf"))
    if visibility.valid is not None:
        grouped.masked_fill_(~visibility.valid[:, :, None, None, :], float("-inf"))
    return scores_qk.softmax(-1)


def _in_chunks(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    visibility: Visibility,
    received: WeightReductions,
    rows_at_once: int | None,
) -> Tensor:
    outputs = []
    for rows in _chunks(query, rows_at_once):
        weights = _weights(query, keys, scale, visibility, rows)
        received.add(weights)
        out = weights.to(values.dtype) @ values
        outputs.append(rearrange(out, "b k (g t) d -> b (k g) t d", t=len(rows)))
    return torch.cat(outputs, 2)


def _fused(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, visibility: Visibility
) -> Tensor:
    num_new, num_keys = query.shape[2], keys.shape[2]
    plain = visibility.block is None and visibility.valid is None
    mask = None
    if not (plain and (num_new == num_keys or num_new == 1)):
        own = visibility.own_rows(torch.arange(num_new, device=query.device), num_new)
        mask = torch.cat([own.new_ones(num_new, num_keys - num_new), own], 1)
    if visibility.valid is not None and mask is not None:
        group = query.shape[1] // keys.shape[1]
        mask = mask & visibility.valid.repeat_interleave(group, 1)[:, :, None, :]
    return functional.scaled_dot_product_attention(
        query,
        keys,
        values,
        attn_mask=mask,
        is_causal=mask is None and num_new > 1,
        scale=scale,
        enable_gqa=query.shape[1] != keys.shape[1],
    )


def _rows_at_once(query: Tensor, keys: Tensor) -> int:
    row = query.shape[0] * query.shape[1] * keys.shape[2]
    return max(1, CHUNK_NUMBERS // max(1, row))


def _chunks(query: Tensor, rows_at_once: int | None) -> Iterator[Tensor]:
    rows = torch.arange(query.shape[2], device=query.device)
    return iter(rows.split(rows_at_once or max(1, len(rows))))
