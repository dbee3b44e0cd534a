"""Tensors of a dataclass, field by field: alone, or several by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def tensors_of(owner: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a dataclass by name, "keys" or "stats.age"."""
    for name, value in vars(owner).items():
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            for key, one in value.items():
                yield f"{name}.{key}", one


def changed(
    change: Callable[..., Tensor], owners: Sequence[Any], *, but: Collection[str] = ()
) -> dict[str, Any]:
    """New values for the fields in which the first owner holds tensors.

    Args:
        change: takes the field's name and its tensor of each owner; where one has none, the new
            value is None.
        owners: of one dataclass, with the same names in their mappings.
        but: fields to leave out.
    """
    made: dict[str, Any] = {}
    first, *others = (vars(owner) for owner in owners)
    for name, value in first.items():
        rest = [other[name] for other in others]
        if name in but:
            continue
        if isinstance(value, Tensor):
            whole = all(other is not None for other in rest)
            made[name] = change(name, value, *rest) if whole else None
        elif isinstance(value, Mapping):
            made[name] = {
                key: change(name, one, *(other[key] for other in rest))
                for key, one in value.items()
            }
    return made


def completed(
    named: Sequence[Mapping[str, Tensor]], shapes: Sequence[Sequence[int]]
) -> list[dict[str, Tensor]]:
    """The same names for all: a tensor that one lacks is 0, in its shape and the others' rest."""
    examples = {name: value for tensors in named for name, value in tensors.items()}

    def zeros(like: Tensor, shape: Sequence[int]) -> Tensor:
        return like.new_zeros(*shape, *like.shape[len(shape) :])

    return [
        {
            name: tensors[name] if name in tensors else zeros(like, shape)
            for name, like in examples.items()
        }
        for tensors, shape in zip(named, shapes, strict=True)
    ]


def behind(own: Tensor, held: Tensor, dim: int) -> Tensor:
    """One column of [held ; own]; keys and values without numbers, which lie elsewhere, are not
    copied."""
    if dim == -2 and own.shape[-1] == 0:
        return own[:, :, :1].expand(-1, -1, held.shape[2] + own.shape[2], -1)
    return torch.cat([held, own], dim)
