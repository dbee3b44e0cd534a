"""Attention of a step, with what is asked of its weights, by the backend chosen here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from .backend import Backend, Inputs, Place, Visibility
from .chunked import Chunked
from .flex import Flex
from .plain import Plain
from .reductions import WeightReductions
from .sdpa import Fused

logger = logging.getLogger(__name__)

# On the CPU "auto" takes the one of fewest products, of equal ones the first; never flex, which is
# uncompiled there.
BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {backend.name: backend for backend in (Fused(), Chunked(), Plain(), Flex())}
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
    place: Place | None = None,
    question: bool = False,
) -> Backend:
    """The backend of a step: the requested one, or for "auto" the one that should be fastest.

    That is flex on CUDA, except for a question that reads its keys whole, whose few queries want no
    weights; of either nothing has been measured yet. Elsewhere, and where flex cannot run, it is
    the one of fewest products. The log says once what was taken.

    Args:
        requested: one of `CHOICES`, a session's `attention`.
        needs_mass: the step asks for the mass.
        reductions: names of `REDUCTIONS` that it asks for.
        in_blocks: its keys come in blocks, see `attend_blocks`.
        place: where it runs; None where that is not known yet, which is as on the CPU.
        question: its queries are a question and its answer, a few at a time.

    Raises:
        ValueError: for an unknown name, or a backend that does not support what is asked.
    """
    if requested not in CHOICES:
        raise ValueError(f"attention must be one of {CHOICES}, got {requested!r}")
    able = [one for one in BACKENDS.values() if set(reductions) <= one.reductions.keys()]
    if requested == AUTO:
        taken = _on_cuda(able, place) if in_blocks or not question else None
        if taken is None:
            head_dim = 1 if place is None else place.head_dim
            asked = (needs_mass, reductions, head_dim, in_blocks)
            rest = [one for one in able if one.name != Flex.name]
            taken = min(rest, key=lambda one: one.extra_products(*asked))
        if place is not None:
            weights = "with mass" if needs_mass or reductions else "without mass"
            say_once(logging.INFO, f"attention {weights} on {place.device.type}: {taken.name}")
        return taken
    chosen = BACKENDS[requested]
    others = tuple(one.name for one in able if one is not chosen)
    if chosen not in able:
        raise ValueError(
            f"attention={requested!r} supports the reductions {tuple(chosen.reductions)}, not all "
            f"of {tuple(reductions)}: take one of {(AUTO, *others)}"
        )
    lack = None if place is None else chosen.lack(place)
    if lack is not None:
        raise ValueError(f"attention={requested!r}: {lack}, or one of {(AUTO, *others)}")
    return chosen


def _on_cuda(able: Sequence[Backend], place: Place | None) -> Backend | None:
    """What "auto" takes on CUDA; None elsewhere, and where it cannot run, which the log says."""
    flex = BACKENDS[Flex.name]
    if place is None or place.device.type != "cuda" or flex not in able:
        return None
    lack = flex.lack(place)
    if lack is None:
        return flex
    say_once(logging.WARNING, f"attention='auto' cannot take flex: {lack}")
    return None


@cache
def say_once(level: int, message: str) -> None:
    """Log a message, once a process: every step asks."""
    logger.log(level, message)


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
