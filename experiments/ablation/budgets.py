"""The size at which a memory has an equal share: slots, bytes or FLOPs, worked out and checked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from ...framework import FullMemory
from .dry_run import DryRun
from .grid import Sized
from .options import Budget
from .variants import Knob, Variant, knob_of

DOUBLINGS = 6  # of a frame's tokens, until a memory has the room it needs
REFINEMENTS = 3
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

    def nearest(self, wanted: float) -> int:
        """The number at which the quantity is nearest to the wanted one."""
        enough = 1 + bisect_left(range(1, self.most), wanted, key=self.at)
        below = max(enough - 1, 1)
        return min(below, enough, key=lambda number: abs(self.at(number) - wanted))


def line(points: dict[int, float]) -> Curve:
    """Through two points: keys, columns and FLOPs grow with the slots, layer states do not."""
    (low, first), (high, second) = points.items()
    slope = (second - first) / (high - low)
    return Curve(lambda number: first + slope * (number - low), lambda number: number)


class Matcher:
    """Sizes variants by one budget on one model.

    Args:
        budget: what is matched.
        dry_run: of the model.
        frames: temporal patches of the stream at whose end unbounded memories are matched; None:
            they cannot be.
    """

    def __init__(self, budget: Budget, dry_run: DryRun, frames: int | None) -> None:
        self.budget, self.dry_run, self.frames = budget, dry_run, frames
        self.quantity = budget.quantity
        self._known: dict[str, tuple[float, bool]] = {}

    def sized(self, variant: Variant) -> Sized:
        """The variant's memory at the size that has nearest to the wanted amount.

        Raises:
            ValueError: if no size has it, within the tolerance.
        """
        knob = variant.knob
        if knob is None or variant.amount is None:
            return Sized(variant, variant.template)
        wanted, curve = self._wanted(variant, variant.amount), self._curve(variant, knob)
        self._require_possible(variant, knob, curve, wanted)
        number = curve.nearest(wanted)
        value, attained = curve.value(number), curve.at(number)
        if knob.name == "capacity":
            value, attained = self._refined(variant, curve, number, wanted)
        memory = variant.at(value)
        if abs(attained - wanted) > self.budget.tolerance * wanted:
            raise ValueError(self._too_far(variant, knob, curve, number, wanted))
        return Sized(variant, memory, value, attained, wanted)

    def _wanted(self, variant: Variant, amount: float) -> float:
        like = self.budget.like
        if like is None:
            return amount
        knob = knob_of(like)
        if knob is None or knob.name != "capacity":
            raise ValueError(
                f"budget: like is {like!r}, which has no capacity; take a memory of slots"
            )
        matched = Variant("like", "", like, amount, knob, variant.caller)
        return self._curve(matched, knob).at(int(amount))

    def _curve(self, variant: Variant, knob: Knob) -> Curve:
        if knob.name == "ratio":
            return self._thinned(variant)
        least = 1 if knob.name == "frames" else self._least(variant)
        return line({n: self._measured(variant, n)[0] for n in (least, 2 * least)})

    def _least(self, variant: Variant) -> int:
        """A capacity of a frame or more that the memory takes: some need room for a window."""
        size = self.dry_run.frame_tokens
        for _ in range(DOUBLINGS):
            try:
                self._measured(variant, size)
            except ValueError:
                size *= 2
            else:
                return size
        self._measured(variant, size)  # says why it cannot
        return size

    def _measured(self, variant: Variant, value: int) -> tuple[float, bool]:
        """The matched quantity at a value of the knob, and whether heads are ragged."""
        memory = variant.at(value)
        name = repr(memory)
        if name not in self._known:
            self._known[name] = self.dry_run.full(memory, value, self.quantity)
        return self._known[name]

    def _refined(
        self, variant: Variant, curve: Curve, number: int, wanted: float
    ) -> tuple[int, float]:
        """Measured at the size itself, and corrected, where heads hold different numbers of slots
        and the quantity follows the video."""
        _, ragged = self._measured(variant, self._least(variant))
        if not (self.quantity.follows_video and ragged):
            return number, curve.at(number)
        slope = curve.at(1) - curve.at(0)
        tried: dict[int, float] = {}
        for _ in range(REFINEMENTS):
            if number not in tried:
                tried[number] = self._measured(variant, number)[0]
            number = max(1, number + round((wanted - tried[number]) / slope))
        best = min(tried, key=lambda size: abs(tried[size] - wanted))
        return best, tried[best]

    def _thinned(self, variant: Variant) -> Curve:
        """Token dropping alone never fills: what full attention has at the end of a stream, by the
        number of visual tokens that enter of every frame but the first."""
        if self.frames is None:
            raise ValueError(
                f"{variant} keeps all tokens that enter, so that what it holds "
                "depends on the stream's length: give budget.frames or sampling.max_frames"
            )
        dry_run, later = self.dry_run, self.frames - 2
        full = dry_run.session(FullMemory())
        full.push(dry_run.frame(0))
        begun, frame = full.cursor.tokens, dry_run.frame(1)
        visual = int(frame.visual_mask()[0].sum())

        def at(kept: int) -> float:
            entering = frame.num_tokens - visual + kept
            return self.quantity.of_full(full, begun + later * entering, entering)

        def value(kept: int) -> float:
            # The rule rounds down, and d / n * n may come out below d.
            dropped = visual - kept
            return (dropped + 0.5) / visual if dropped else 0.0

        return Curve(at, value, visual)

    def _require_possible(self, variant: Variant, knob: Knob, curve: Curve, wanted: float) -> None:
        text, entering, nothing = self.quantity.text, self.dry_run.frame_tokens, curve.at(0)
        fixed = self.quantity.fixed(self.dry_run.model.spec, entering)
        if fixed and knob.name != "ratio" and wanted < nothing:
            raise ValueError(
                f"{variant} cannot have {text(wanted)} a frame: a frame of "
                f"{entering} tokens costs {text(nothing)} with nothing carried, of which "
                f"{text(fixed)} in projections and MLPs (if all tokens enter); ask for more, or "
                "put TokenDroppingMemory around it"
            )
        if curve.at(2) <= curve.at(1):
            raise ValueError(
                f"{variant} has {self.quantity.noun} that do not grow with its {knob.name}; match "
                "something else"
            )

    def _too_far(
        self, variant: Variant, knob: Knob, curve: Curve, number: int, wanted: float
    ) -> str:
        text = self.quantity.text
        around = [n for n in (number - 1, number, number + 1) if 1 <= n <= curve.most]
        can = ", ".join(f"{text(curve.at(n))} ({knob.name}={curve.value(n):.4g})" for n in around)
        return (
            f"{variant} cannot have {text(wanted)} ({self.quantity.noun}) within a "
            f"tolerance of {self.budget.tolerance:.0%}; it can have {can}: ask for one of these, "
            "list it under fixed, or raise budget.tolerance"
        )
