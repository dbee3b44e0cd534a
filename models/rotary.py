"""The rotation of keys as the decoder's own layers do it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from torch import Tensor, nn

Rotation = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
NAME = "apply_rotary_pos_emb"


def rotation_of(decoder: nn.Module) -> Rotation:
    """The function by which the decoder's family rotates queries and keys.

    Families pair the dimensions of a head differently (Qwen its halves, GLM its neighbours) and
    may leave some unrotated, so that none but their own function turns stored keys exactly.

    Raises:
        ValueError: if the module that defines the decoder has none.
    """
    for kind in type(decoder).__mro__:
        rotation = vars(sys.modules[kind.__module__]).get(NAME)
        if rotation is not None:
            return rotation
    raise ValueError(
        f"cannot rotate stored keys of {type(decoder).__name__}: {type(decoder).__module__} has no "
        f"{NAME}; use a memory that keeps positions as they are, or override `rotate`"
    )


def rotated(rotation: Rotation, keys: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Keys [B, K, S, D] rotated on by angles of their own, `cos` and `sin` [B, K, S, R <= D]."""
    heads = keys.flatten(0, 1)[:, None]
    _, turned = rotation(heads[:, :0], heads, cos.flatten(0, 1), sin.flatten(0, 1))
    return turned.view_as(keys)
