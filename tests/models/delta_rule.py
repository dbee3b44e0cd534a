"""Gated DeltaNet's rule in float64: the stock one computes in float32, which would hide how
exactly a stream is cut."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen3_5 import modeling_qwen3_5
from transformers.models.qwen3_5_moe import modeling_qwen3_5_moe

RULES = ("torch_chunk_gated_delta_rule", "torch_recurrent_gated_delta_rule")


def delta_rule(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Token by token: output [B, T, heads, value_dim], the heads' matrices behind the last."""
    query, key, state = prepared(query, key, value, initial_state)
    decay, beta = g.to(value.dtype).exp(), beta.to(value.dtype)
    outputs = []
    for t in range(value.shape[1]):
        state = state * decay[:, t, :, None, None]
        known = torch.einsum("bhkv,bhk->bhv", state, key[:, t])
        change = (value[:, t] - known) * beta[:, t, :, None]
        state = state + torch.einsum("bhk,bhv->bhkv", key[:, t], change)
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, query[:, t]) * query.shape[-1] ** -0.5)
    return torch.stack(outputs, 1), state


def delta_rule_at_once(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """The same with all tokens as one chunk, in a few products."""
    query, key, state = prepared(query, key, value, initial_state)
    q, k, v = (rows.transpose(1, 2) for rows in (query, key, value))
    rate = beta.to(value.dtype).transpose(1, 2)[..., None]
    past = g.to(value.dtype).transpose(1, 2).cumsum(-1)
    between = (past[..., :, None] - past[..., None, :]).tril().exp().tril()
    system = torch.eye(v.shape[2]).to(v) + (rate * (k @ k.mT) * between).tril(-1)
    known = rate * past.exp()[..., None] * (k @ state)
    change = torch.linalg.solve_triangular(system, rate * v - known, upper=False)
    output = past.exp()[..., None] * (q @ state) + ((q @ k.mT) * between) @ change
    left = (past[..., -1:] - past).exp()[..., None]
    state = past[..., -1, None, None].exp() * state + (k * left).mT @ change
    return output.transpose(1, 2) * q.shape[-1] ** -0.5, state


def prepared(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys of length 1, one for every value head, and the first matrices."""
    group = value.shape[2] // key.shape[2]
    query, key = (unit(rows).repeat_interleave(group, 2) for rows in (query, key))
    shape = (len(value), value.shape[2], key.shape[3], value.shape[3])
    return query, key, value.new_zeros(shape) if state is None else state.to(value.dtype)


def unit(rows: Tensor) -> Tensor:
    return rows * (rows.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


@cache
def widen_delta_rules() -> None:
    """Let models in float64 keep to it; others go on with the stock rules."""
    for module in (modeling_qwen3_5, modeling_qwen3_5_moe):
        for name in RULES:
            stock = getattr(module, name)
            setattr(module, name, _widened(stock))


def _widened(stock: Any) -> Any:
    def rule(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Any:
        if query.dtype != torch.float64:
            return stock(query, key, value, **options)
        return delta_rule_at_once(query, key, value, **options)

    return rule
