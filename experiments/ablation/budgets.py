"""The size at which a memory has an equal share: slots, bytes or FLOPs, worked out and checked."""

from __future__ import annotations

from .curves import Curve, Thinned, line, nearest
from .dry_run import DryRun, Held
from .grid import Sized
from .knobs import knob_of
from .options import MATCHES, Budget
from .variants import Variant, label, short, sized_memory

DOUBLINGS = 6  # of a frame's tokens, until a memory has the room it needs
REFINEMENTS = 3
UNITS = {"slots": "", "bytes": "B", "flops": "FLOP"}


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
        self._known: dict[str, tuple[Held, bool]] = {}

    def sized(self, variant: Variant) -> Sized:
        """The variant's memory at the size that has nearest to the wanted amount.

        Raises:
            ValueError: if no size has it, within the tolerance.
        """
        if variant.knob is None or variant.amount is None:
            return Sized(variant, variant.template)
        wanted, curve = self._wanted(variant.amount), self._curve(variant)
        self._require_possible(variant, curve, wanted)
        number = nearest(curve, wanted)
        value, attained = curve.value(number), curve.at(number)
        if variant.knob.name == "capacity":
            value, attained = self._refined(variant, curve, number, wanted)
        memory = sized_memory(variant, value)
        if abs(attained - wanted) > self.budget.tolerance * wanted:
            raise ValueError(self._too_far(variant, curve, number, wanted))
        return Sized(variant, memory, value, attained, wanted)

    def _wanted(self, amount: float) -> float:
        if self.budget.like is None:
            return amount
        knob = knob_of(self.budget.like)
        if knob is None or knob.name != "capacity":
            raise ValueError(
                f"budget: like is {self.budget.like!r}, which has no capacity; take a memory of "
                "slots"
            )
        example = Variant("like", "", self.budget.like, amount, knob)
        return self._curve(example).at(int(amount))

    def _curve(self, variant: Variant) -> Curve:
        assert variant.knob is not None
        if variant.knob.name == "ratio":
            return self._thinned(variant)
        if variant.knob.name == "frames":
            return line({n: self._measured(variant, n)[0] for n in (1, 2)})
        least = self._least(variant)
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
        memory = sized_memory(variant, value)
        name = repr(memory)
        if name not in self._known:
            self._known[name] = self.dry_run.full(memory, value)
        held, ragged = self._known[name]
        return held[self.budget.match], ragged

    def _refined(
        self, variant: Variant, curve: Curve, number: int, wanted: float
    ) -> tuple[int, float]:
        """Where heads hold different numbers of slots, what they hold depends on the video and is
        no straight line: measured at the size itself, and corrected."""
        if self.budget.match == "slots" or not self._ragged(variant):
            return number, curve.at(number)
        slope = curve.at(1) - curve.at(0)
        tried: dict[int, float] = {}
        for _ in range(REFINEMENTS):
            if number not in tried:
                tried[number] = self._measured(variant, number)[0]
            number = max(1, number + round((wanted - tried[number]) / slope))
        best = min(tried, key=lambda size: abs(tried[size] - wanted))
        return best, tried[best]

    def _ragged(self, variant: Variant) -> bool:
        return self._measured(variant, self._least(variant))[1]

    def _thinned(self, variant: Variant) -> Curve:
        """Token dropping alone never fills: what it has at the end of a stream, by the number of
        visual tokens that enter of every frame."""
        if self.frames is None:
            raise ValueError(
                f"ablate: {label(variant)} keeps all tokens that enter, so that what it holds "
                "depends on the stream's length: give budget.frames or sampling.max_frames"
            )
        thinned = Thinned(self.dry_run, self.frames)

        def value(kept: int) -> float:
            # The rule rounds down, and d / n * n may come out below d.
            dropped = thinned.visual - kept
            return (dropped + 0.5) / thinned.visual if dropped else 0.0

        return Curve(lambda kept: thinned.held(kept)[self.budget.match], value, thinned.visual)

    def _require_possible(self, variant: Variant, curve: Curve, wanted: float) -> None:
        match = self.budget.match
        if match == "flops" and variant.knob is not None and variant.knob.name != "ratio":
            entering, nothing = self.dry_run.frame_tokens, curve.at(0)
            linear = 2 * self.dry_run.model.spec.linear_parameters * entering
            if wanted < nothing:
                raise ValueError(
                    f"ablate: {label(variant)} cannot have {self._said(wanted)} a frame: a frame "
                    f"of {entering} tokens costs {self._said(nothing)} with nothing carried, of "
                    f"which {self._said(linear)} in projections and MLPs (if all tokens enter); "
                    "ask for more, or put TokenDroppingMemory around it"
                )
        if curve.at(2) <= curve.at(1):
            raise ValueError(
                f"ablate: the {MATCHES[match]} of {label(variant)} do not grow with its "
                f"{variant.knob.name if variant.knob else 'size'}; match something else"
            )

    def _too_far(self, variant: Variant, curve: Curve, number: int, wanted: float) -> str:
        assert variant.knob is not None
        around = [n for n in (number - 1, number, number + 1) if 1 <= n <= curve.most]
        can = ", ".join(
            f"{self._said(curve.at(n))} ({variant.knob.name}={curve.value(n):.4g})" for n in around
        )
        return (
            f"ablate: {label(variant)} cannot have {self._said(wanted)} "
            f"({MATCHES[self.budget.match]}) within a tolerance of {self.budget.tolerance:.0%}; it "
            f"can have {can}: ask for one of these, list it under fixed, or raise budget.tolerance"
        )

    def _said(self, amount: float) -> str:
        return short(amount, " " + UNITS[self.budget.match]).strip()
