"""Attention of a step, with what is asked of its weights, by the backend chosen here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from .backend import Backend, Inputs, Visibility
from .chunked import Chunked
from .plain import Plain
from .reductions import WeightReductions
from .sdpa import Fused

# In the order in which "auto" prefers them where they cost the same.
BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {backend.name: backend for backend in (Fused(), Chunked(), Plain())}
)
AUTO = "auto"
CHOICES = (AUTO, *BACKENDS)


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


def choose(
    requested: str,
    needs_mass: bool = False,
    reductions: Sequence[str] = (),
    in_blocks: bool = False,
) -> Backend:
    """The backend of a step: the requested one, or for "auto" the one of fewest products.

    Args:
        requested: one of `CHOICES`, a session's `attention`.
        needs_mass: the step asks for the mass.
        reductions: names of `REDUCTIONS` that it asks for.
        in_blocks: its keys come in blocks, see `attend_blocks`.

    Raises:
        ValueError: for an unknown name, or a backend that does not support what is asked.
    """
    if requested not in CHOICES:
        raise ValueError(f"attention must be one of {CHOICES}, got {requested!r}")
    able = [one for one in BACKENDS.values() if set(reductions) <= one.reductions.keys()]
    if requested == AUTO:
        return min(able, key=lambda one: one.extra_products(needs_mass, reductions, in_blocks))
    chosen = BACKENDS[requested]
    if chosen not in able:
        raise ValueError(
            f"attention={requested!r} supports the reductions {tuple(chosen.reductions)}, not all "
            f"of {tuple(reductions)}: take one of {(AUTO, *(one.name for one in able))}"
        )
    return chosen


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    backend: Backend,
    scale: float,
    visibility: Visibility,
    needs_mass: bool = False,
    reductions: Sequence[str] = (),
) -> Attended:
    """Attention of a step's queries over [carried ; new]; the arguments are those of `Inputs`, and
    `reductions` names of `REDUCTIONS` to compute beside the mass."""
    received = WeightReductions(reductions, needs_mass, values)
    output = backend.output(Inputs(query, keys, values, scale, visibility), received)
    return Attended(output, received.mass, received.reduced)
