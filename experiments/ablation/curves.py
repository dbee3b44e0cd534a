"""How what is matched rises with a memory's size, and the size that has most nearly enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ...framework import FullMemory
from ...framework.flops import step_flops
from .dry_run import DryRun, Held, held_by

LARGEST = 1 << 40  # slots; no search goes further


@dataclass(frozen=True)
class Curve:
    """What a memory has of the matched quantity, by a whole number that it rises with.

    Attributes:
        at: the quantity.
        value: of the knob, by the number.
        most: the largest number there can be.
    """

    at: Callable[[int], float]
    value: Callable[[int], float]
    most: int = LARGEST


def line(points: dict[int, float]) -> Curve:
    """Through two points: keys, columns and FLOPs grow with the slots, layer states do not."""
    (low, first), (high, second) = points.items()
    slope = (second - first) / (high - low)
    return Curve(lambda number: first + slope * (number - low), lambda number: number)


def nearest(curve: Curve, wanted: float) -> int:
    """The number at which the quantity is nearest to the wanted one."""
    low, high = 1, curve.most
    while low < high:  # the first number that has enough
        middle = (low + high) // 2
        if curve.at(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    below = max(low - 1, 1)
    return min(below, low, key=lambda number: abs(curve.at(number) - wanted))


class Thinned:
    """Full attention over thinned frames, by closed form from one short run."""

    def __init__(self, dry_run: DryRun, frames: int) -> None:
        self.dry_run, self.frames = dry_run, frames

    @property
    def visual(self) -> int:
        """Visual tokens of a frame."""
        return int(self.dry_run.frame(1).visual_mask()[0].sum())

    def held(self, kept: int) -> Held:
        """At the end of the stream, with `kept` visual tokens of every frame but the first."""
        entering = self.dry_run.frame(1).num_tokens - self.visual + kept
        prompt = 0 if self.dry_run.prompt is None else self.dry_run.prompt.num_tokens
        before = prompt + self.dry_run.frame_tokens + (self.frames - 2) * entering
        slots = before + entering
        flops = step_flops(self.dry_run.model.spec, new_tokens=entering, context_tokens=before)
        return Held(slots, slots * self.slot_bytes, flops)

    @cached_property
    def slot_bytes(self) -> float:
        """Of a slot in one layer."""
        session = self.dry_run.session(FullMemory())
        session.push(self.dry_run.frame(0))
        held = held_by(session, 1)
        return held.bytes / held.slots
