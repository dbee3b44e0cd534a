"""Attention over keys that come a block at a time: unpacked on the way, or fetched from a disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from .attend import Attended
from .backend import Backend, Inputs, Visibility
from .merging import Reading, merged
from .reductions import WeightReductions

MASS = "mass"


class KeyBlock(NamedTuple):
    """Some of the earlier keys, all visible to every query.

    Attributes:
        keys, values: [B, K, S, D] in the query's dtype.
        valid: [B, K, S] bool for ragged heads, a head may have none here; None where all are real.
    """

    keys: Tensor
    values: Tensor
    valid: Tensor | None = None


def attend_blocks(
    query: Tensor,
    blocks: Iterable[KeyBlock],
    keys: Tensor,
    values: Tensor,
    *,
    backend: Backend,
    scale: float,
    visibility: Visibility,
    needs_mass: bool = False,
    reductions: Sequence[str] = (),
) -> Attended:
    """What `attend` gives for the blocks, in their order, and the last keys behind them, joined.

    Holds one block at a time and lets go of it before it asks for the next, so blocks made on the
    way need room for one, or two where the next is made ahead.

    Args:
        query: [B, H, T, D].
        blocks: gone over once; twice where the mass or a reduction is asked for, because weights
            are known only when all keys have been seen.
        keys, values: [B, K, S, D] of the last block, which ends with the queries' own.
        visibility: of the last block.

    Raises:
        ValueError: for an iterator, which can be gone over only once, where it takes two passes.
    """
    wanted = bool(needs_mass or reductions)
    if wanted and isinstance(blocks, Iterator):
        raise ValueError(
            f"blocks is a {type(blocks).__name__}, which can be gone over once, and the mass and "
            "reductions take two passes: give a list, or an object whose __iter__ starts anew"
        )
    last = Inputs(query, keys, values, scale, visibility)
    readings = map(backend.read, chain([last], _inputs(query, blocks, scale)))
    whole = reduce(merged, readings)
    output = whole.output.to(values.dtype)
    if not wanted:
        return Attended(output, None, {})
    whole = whole._replace(output=whole.output.to(whole.lse.dtype))
    taken = partial(
        _received, backend=backend, whole=whole, needs_mass=needs_mass, reductions=reductions
    )
    received = list(map(taken, chain(_inputs(query, blocks, scale), [last])))
    joined = {name: torch.cat([one[name] for one in received], -1) for name in received[0]}
    return Attended(output, joined.pop(MASS, None), joined)


def _inputs(query: Tensor, blocks: Iterable[KeyBlock], scale: float) -> Iterator[Inputs]:
    """The blocks as what a backend reads; holds none of them while the next is made."""
    for block in blocks:
        keys, values, valid = block
        if keys.shape[2] == 0:
            continue
        inputs = Inputs(query, keys, values, scale, Visibility(valid=valid, own=False))
        del block, keys, values, valid
        yield inputs
        del inputs


def _received(
    inputs: Inputs, backend: Backend, whole: Reading, needs_mass: bool, reductions: Sequence[str]
) -> dict[str, Tensor]:
    """[B, K, S] by name: what the slots of one block receive, and nothing of their values."""
    received = WeightReductions(reductions, needs_mass, inputs.values)
    backend.receive(inputs, whole, received)
    mass = {} if received.mass is None else {MASS: received.mass}
    return {**mass, **received.reduced}
