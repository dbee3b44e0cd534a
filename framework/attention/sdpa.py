"""Torch's fused attention for the output; weights, if any are asked for, by a second pass."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from .backend import Backend, Inputs
from .chunked import row_chunks
from .plain import softmax_weights
from .reductions import WeightReductions


class Fused(Backend):
    """Fastest where nothing is asked of the weights, which it throws away."""

    name = "sdpa"
    weight_products = 1
    reductions = MappingProxyType({**Backend.reductions, "output_change": 2})

    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        query, keys, values, scale, visibility = inputs
        for rows in row_chunks(inputs) if received.wanted else ():
            received.add(softmax_weights(query, keys, scale, visibility, rows))
        mask = _mask(inputs)
        return functional.scaled_dot_product_attention(
            query,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None and query.shape[2] > 1,
            scale=scale,
            enable_gqa=query.shape[1] != keys.shape[1],
        )


def _mask(inputs: Inputs) -> Tensor | None:
    """[T, S] or [B, H, T, S] bool, True where a row sees a key; None where torch's own causal mask,
    which is aligned at the top left, says the same."""
    (num_heads, num_new), (num_kv_heads, num_keys) = inputs.query.shape[1:3], inputs.keys.shape[1:3]
    block, valid = inputs.visibility.block, inputs.visibility.valid
    if block is None and valid is None and num_new in (1, num_keys):
        return None
    own = inputs.visibility.own_rows(inputs.rows, num_new)
    mask = torch.cat([own.new_ones(num_new, num_keys - num_new), own], 1)
    if valid is None:
        return mask
    return mask & valid.repeat_interleave(num_heads // num_kv_heads, 1)[:, :, None, :]
