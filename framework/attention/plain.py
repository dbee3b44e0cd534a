"""Attention by the whole matrix of weights: the twin that the other backends are tested against."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import Backend, Inputs, Visibility
from .grouping import by_kv_head, by_query_head
from .merging import Reading
from .reductions import WeightReductions


class Plain(Backend):
    """The whole queries x keys matrix at once."""

    name = "plain"

    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        return output_of(inputs, received, inputs.rows)

    def read(self, inputs: Inputs) -> Reading:
        return reading_of(inputs, inputs.rows)

    def receive(self, inputs: Inputs, whole: Reading, received: WeightReductions) -> None:
        receive_rows(inputs, whole, received, inputs.rows)


def output_of(inputs: Inputs, received: WeightReductions, rows: Tensor) -> Tensor:
    """[B, H, n, D]: the output of n query rows, whose weights `received` takes in."""
    weights = scores_of(inputs, rows).softmax(-1)
    out = weights.to(received.values.dtype) @ received.values
    received.add(weights, out)
    return by_query_head(out, len(rows)).to(inputs.values.dtype)


def reading_of(inputs: Inputs, rows: Tensor) -> Reading:
    """The reading of n query rows."""
    scores = scores_of(inputs, rows)
    # From the lowest number even a row of -inf, which sees nothing, leaves -inf and not NaN.
    largest = scores.amax(-1, keepdim=True).clamp_min_(torch.finfo(scores.dtype).min)
    weights = scores.sub_(largest).exp_()
    # The largest weight is 1, so the sum is at least 1 wherever a row sees anything.
    total = weights.sum(-1, keepdim=True)
    lse = largest + total.log()
    out = weights.div_(total.clamp_min_(1)).to(inputs.values.dtype) @ inputs.values
    return Reading(by_query_head(out, len(rows)), by_query_head(lse, len(rows))[..., 0])


def receive_rows(inputs: Inputs, whole: Reading, received: WeightReductions, rows: Tensor) -> None:
    """`received` takes in the weights that n query rows give these keys in a reading of more."""
    num_kv_heads = inputs.keys.shape[1]
    lse, out = (
        by_kv_head(part[:, :, rows], num_kv_heads) for part in (whole.lse[..., None], whole.output)
    )
    received.add(scores_of(inputs, rows).sub_(lse).exp_(), out)


def scores_of(inputs: Inputs, rows: Tensor) -> Tensor:
    """[B, K, G*n, S] scaled scores of n query rows, at least in float32; -inf where a key is hidden
    from a row."""
    query, keys, _, scale, visibility = inputs
    num_kv_heads, num_keys = keys.shape[1:3]
    wide = torch.float64 if query.dtype == torch.float64 else torch.float32
    picked = by_kv_head(query[:, :, rows].to(wide), num_kv_heads)
    scores = (picked * scale) @ keys.to(wide).transpose(-1, -2)
    grouped = scores.unflatten(2, (query.shape[1] // num_kv_heads, len(rows)))
    # Only the step's own columns can be hidden; touching the others would cost as much as softmax.
    if inputs.num_own:
        hidden = ~visibility.own_rows(rows, inputs.num_own)
        grouped[..., num_keys - inputs.num_own :].masked_fill_(hidden, float("-inf"))
    if visibility.valid is not None:
        grouped.masked_fill_(~visibility.valid[:, :, None, None, :], float("-inf"))
    return scores


def weights_of(
    query: Tensor, keys: Tensor, rows: Tensor, *, scale: float, visibility: Visibility
) -> Tensor:
    """[B, K, G, n, S]: the attention weights of n chosen rows of every query head."""
    weights = scores_of(Inputs(query, keys, keys, scale, visibility), rows).softmax(-1)
    return weights.unflatten(2, (query.shape[1] // keys.shape[1], len(rows)))
