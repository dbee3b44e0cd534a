"""Torch's fused attention for the output; weights, if any are asked for, by a second pass."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from .backend import Backend, Inputs
from .chunked import receive_in_chunks, row_chunks
from .grouping import by_kv_head, by_query_head
from .merging import Reading
from .plain import scores_of
from .reductions import WeightReductions


class Fused(Backend):
    """Fastest where nothing is asked of the weights, which it throws away, sum and all."""

    name = "sdpa"
    weight_products = 1
    lse_products = 1
    reductions = MappingProxyType({**Backend.reductions, "output_change": 2})

    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        for rows in row_chunks(inputs) if received.wanted else ():
            received.add(scores_of(inputs, rows).softmax(-1))
        return _fused(inputs)

    def read(self, inputs: Inputs) -> Reading:
        # No public operator of torch 2.11 to 2.15 gives the CPU's kernel's own; `aten` has private
        # ones, a name for each kernel.
        sums = [scores_of(inputs, rows).logsumexp(-1, True) for rows in row_chunks(inputs)]
        lse = torch.cat([part.view(*inputs.query.shape[:2], -1) for part in sums], 2)
        # Kernels differ in what they give a row that sees nothing, some NaN.
        return Reading(_fused(inputs).masked_fill((lse == float("-inf"))[..., None], 0), lse)

    def receive(self, inputs: Inputs, whole: Reading, received: WeightReductions) -> None:
        receive_in_chunks(inputs, whole, received)


def _fused(inputs: Inputs) -> Tensor:
    query, keys, values, scale, _ = inputs
    mask, (num_new, num_kv_heads) = _mask(inputs), (query.shape[2], keys.shape[1])
    if mask is None and inputs.num_own <= 1:
        # Torch's CPU kernel reads the keys once for every query head, which one query of 7 heads a
        # group waits for: 15.5 ms beside 5.4 ms in rows, at 34,816 keys.
        rows = by_kv_head(query, num_kv_heads)
        read = functional.scaled_dot_product_attention(rows, keys, values, scale=scale)
        return by_query_head(read, num_new)
    return functional.scaled_dot_product_attention(
        query,
        keys,
        values,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=query.shape[1] != num_kv_heads,
    )


def _mask(inputs: Inputs) -> Tensor | None:
    """[T, S] or [B, H, T, S] bool, True where a row sees a key; None where all are visible, or
    where torch's own causal mask, which is aligned at the top left, says the same."""
    (num_heads, num_new), (num_kv_heads, num_keys) = inputs.query.shape[1:3], inputs.keys.shape[1:3]
    block, valid = inputs.visibility.block, inputs.visibility.valid
    if block is None and valid is None and (inputs.num_own <= 1 or num_new == num_keys):
        return None
    mask = torch.ones(num_new, num_keys, dtype=torch.bool, device=inputs.query.device)
    if inputs.num_own:
        mask[:, num_keys - num_new :] = inputs.visibility.own_rows(inputs.rows, num_new)
    if valid is None:
        return mask
    return mask & valid.repeat_interleave(num_heads // num_kv_heads, 1)[:, :, None, :]
