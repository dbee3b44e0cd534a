"""Turns of a bench of steps, and the rows that tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import torch

from ...framework import StepCost
from ...framework.flops import step_flops
from ...models import DecoderModel
from .bench_limits import Limits
from .benches import Row, milliseconds
from .step_variants import FULL, STOCK, STOCK_BACKEND, Lack, Variant

T = TypeVar("T")


@dataclass(frozen=True)
class Taken:
    """One turn of one variant.

    Attributes:
        limits: of the machine at that moment.
        cost: what a session says of its step; of the stock model nothing.
    """

    ms: float
    limits: Limits
    cost: StepCost | None


Round = Mapping[str, Taken]  # by variant


def rounds_of(
    variants: Sequence[Variant],
    device: torch.device,
    limits: Callable[[], Limits],
    repeats: int,
    patience: float,
) -> tuple[list[Round], list[Lack]]:
    """Rounds in which variants take turns, and variants that memory ran out for.

    The first round warms up, and compiles. A variant that has taken so many seconds of patience
    takes no further turns.
    """
    taking, rounds, lacking = list(variants), list[Round](), list[Lack]()
    while taking and len(rounds) <= repeats:
        passed = dict[str, Taken]()
        for variant in taking:
            try:
                passed[variant.name] = _turn(variant, device, limits)
            except torch.OutOfMemoryError as error:
                lacking.append(Lack(variant, f"memory ran out: {str(error).splitlines()[0]}"))
        rounds.append(passed)
        taking = [one for one in taking if 0 < _seconds(rounds, one.name) < patience]
    return rounds, lacking


def rows_of(rounds: Sequence[Round], variants: Sequence[Variant], model: DecoderModel) -> list[Row]:
    """A row per variant that took a turn: medians over turns, ratios within a round."""
    return [_row(one, variants, rounds, model) for one in variants if one.name in rounds[0]]


def step_bytes(model: DecoderModel, slots: int, tokens: int) -> int:
    """Bytes that no step can do without: weights and carried keys and values read, the frame's
    written."""
    spec, size = model.spec, model.dtype.itemsize
    return spec.linear_parameters * size + spec.kv_bytes_per_token(size) * (slots + tokens)


def _turn(variant: Variant, device: torch.device, limits: Callable[[], Limits]) -> Taken:
    told, push, moment = list[StepCost | None](), variant.prepare(), limits()
    return Taken(milliseconds(lambda: told.append(push()), device), moment, told[0])


def _seconds(rounds: Sequence[Round], name: str) -> float:
    """All turns of a variant together; 0 if memory ran out in its last."""
    if name not in rounds[-1]:
        return 0.0
    return sum(one[name].ms for one in rounds) / 1e3


def _row(
    variant: Variant, every: Sequence[Variant], rounds: Sequence[Round], model: DecoderModel
) -> Row:
    name = variant.name
    turns = _counted([one[name] for one in rounds if name in one])
    cost = turns[0].cost
    flops = cost.flops if cost else _stock_flops(variant, model)
    num_bytes = step_bytes(model, variant.slots, variant.frame_tokens)
    least = [one.limits.milliseconds(flops, num_bytes) for one in turns]
    return {
        "variant": name,
        "slots": variant.slots,
        "backend": cost.attention if cost else STOCK_BACKEND,
        "turns": len(turns),
        "ms": _median([one.ms for one in turns]),
        "gflop": round(flops / 1e9, 2),
        "mbytes": round(num_bytes / 1e6, 1),
        "limit_ms": _median(least),
        "to_limit": _median([t.ms / best for t, best in zip(turns, least, strict=True)]),
        "peak_share": _median([one.limits.share(flops, one.ms) for one in turns]),
        "peak_gflops": _median([one.limits.flops / 1e9 for one in turns]),
        "copy_gbytes": _median([one.limits.bandwidth / 1e9 for one in turns]),
        "to_stock": _beside(STOCK, name, rounds),
        "to_full": _beside(FULL, name, rounds),
        "to_window": _beside(_twin(variant, every), name, rounds),
    }


def _counted(turns: Sequence[T]) -> Sequence[T]:
    """All turns but the first, which warmed up; it counts where it is the only one."""
    return turns[1:] or turns


def _median(values: Sequence[float]) -> float:
    return round(median(values), 3)


def _beside(other: str | None, name: str, rounds: Sequence[Round]) -> float | None:
    """The median ratio of two variants in the same round; None where they never met."""
    if other is None:
        return None
    met = [one[name].ms / one[other].ms for one in rounds if other in one and name in one]
    return _median(_counted(met)) if met else None


def _stock_flops(variant: Variant, model: DecoderModel) -> int:
    tokens = variant.frame_tokens
    return step_flops(model.spec, new_tokens=tokens, context_tokens=variant.slots)


def _twin(variant: Variant, every: Sequence[Variant]) -> str | None:
    """The window of as many slots as a StateKV, which stands behind it."""
    names = [one.name for one in every]
    is_statekv = variant.name.startswith("statekv")
    return names[names.index(variant.name) + 1] if is_statekv else None
