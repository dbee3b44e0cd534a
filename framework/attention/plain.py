"""Attention by the whole matrix of weights: the twin that the other backends are tested against."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from .backend import Backend, Inputs, Visibility
from .reductions import WeightReductions


class Plain(Backend):
    """The whole queries x keys matrix at once."""

    name = "plain"

    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        return output_of(inputs, received, inputs.rows)


def output_of(inputs: Inputs, received: WeightReductions, rows: Tensor) -> Tensor:
    """[B, H, n, D]: the output of n query rows, whose weights `received` takes in."""
    weights = softmax_weights(inputs.query, inputs.keys, inputs.scale, inputs.visibility, rows)
    out = weights.to(received.values.dtype) @ received.values
    received.add(weights, out)
    out = rearrange(out, "b k (g t) d -> b (k g) t d", t=len(rows))
    return out.to(inputs.values.dtype)


def softmax_weights(
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


def weights_of(
    query: Tensor, keys: Tensor, rows: Tensor, *, scale: float, visibility: Visibility
) -> Tensor:
    """[B, K, G, n, S]: the attention weights of n chosen rows of every query head."""
    weights = softmax_weights(query, keys, scale, visibility, rows)
    return weights.unflatten(2, (query.shape[1] // keys.shape[1], len(rows)))
