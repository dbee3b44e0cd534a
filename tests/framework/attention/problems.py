"""Steps to attend in, and their attention by loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework.attention.attend import BACKENDS, Attended, attend
from crossframe.framework.attention.backend import Inputs, Visibility
from crossframe.framework.attention.merging import Reading

KINDS = tuple(BACKENDS)


class Problem(NamedTuple):
    """A step: query [B, H, T, D], keys and values [B, K, S, D], and what its rows see."""

    query: Tensor
    keys: Tensor
    values: Tensor
    visibility: Visibility = Visibility()

    def solve(self, kind: str, needs_mass: bool = True, reductions: Sequence[str] = ()) -> Attended:
        return attend(
            self.query,
            self.keys,
            self.values,
            backend=BACKENDS[kind],
            scale=self.query.shape[-1] ** -0.5,
            visibility=self.visibility,
            needs_mass=needs_mass,
            reductions=reductions,
        )

    def to(self, dtype: torch.dtype) -> Problem:
        query, keys, values = (part.to(dtype) for part in self[:3])
        return Problem(query, keys, values, self.visibility)

    def on(self, device: str) -> Problem:
        query, keys, values = (part.to(device) for part in self[:3])
        block, valid = (
            None if part is None else part.to(device)
            for part in (self.visibility.block, self.visibility.valid)
        )
        return Problem(query, keys, values, Visibility(block, valid))


def problem(
    new: int,
    carried: int = 0,
    *,
    batch: int = 1,
    heads: int = 2,
    group: int = 1,
    head_dim: int = 8,
    visibility: Visibility | None = None,
    seed: int = 0,
) -> Problem:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, head_dim, generator=generator, dtype=torch.float64)

    slots = (heads, carried + new)
    query = draw(heads * group, new)
    return Problem(query, draw(*slots), draw(*slots), visibility or Visibility())


def read(kind: str, task: Problem) -> Reading:
    query, keys, values, visibility = task
    return BACKENDS[kind].read(Inputs(query, keys, values, query.shape[-1] ** -0.5, visibility))


def by_loops(task: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Output, mass, and every row's weights [B, H, T, S], one row at a time in float64."""
    query, keys, values, visibility = task.to(torch.float64)
    (batch, heads, new, head_dim), (kv_heads, slots) = query.shape, keys.shape[1:3]
    output, weights = torch.zeros_like(query), query.new_zeros(batch, heads, new, slots)
    for row in range(batch):
        for head in range(heads):
            own = head // (heads // kv_heads)
            for token in range(new):
                seen = torch.tensor(
                    [_sees(visibility, token, s - (slots - new)) for s in range(slots)]
                )
                if visibility.valid is not None:
                    seen &= visibility.valid[row, own]
                scores = keys[row, own, seen] @ query[row, head, token] * head_dim**-0.5
                weights[row, head, token, seen] = scores.softmax(0)
                output[row, head, token] = weights[row, head, token] @ values[row, own]
    return output, weights.unflatten(1, (kv_heads, -1)).sum((2, 3)), weights


def _sees(visibility: Visibility, token: int, key: int) -> bool:
    """Key numbers below 0 are carried."""
    if visibility.block is None or key < 0:
        return key <= token
    return bool(visibility.block[key] <= visibility.block[token])


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small steps of every kind: causal or in blocks, ragged or not."""
    new, carried = draw(st.integers(1, 6)), draw(st.sampled_from([0, 1, 2, 7]))
    batch, heads = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    block = valid = None
    if draw(st.booleans()):
        block = torch.tensor(sorted(draw(st.lists(st.integers(-3, 2), min_size=new, max_size=new))))
    if draw(st.booleans()):
        padding = st.lists(st.integers(0, carried), min_size=batch * heads, max_size=batch * heads)
        first = torch.tensor(draw(padding)).view(batch, heads, 1)
        valid = torch.arange(carried + new) >= first
    return problem(
        new,
        carried,
        batch=batch,
        heads=heads,
        group=draw(st.sampled_from([1, 3, 7])),
        head_dim=draw(st.sampled_from([2, 8, 80])),
        visibility=Visibility(block, valid),
        seed=draw(st.integers(0, 99)),
    )
