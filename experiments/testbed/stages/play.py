"""What a stage gives to be drawn and asked about, in steps: `every` frames are one step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..setting import Setting, bounds
from ..sprites import Stamp
from ..truth import Scene, Swap


@dataclass(frozen=True)
class Beat:
    """The regular row of scenes of a clip: `scenes` of them, each `length` steps, the last maybe
    cut short by the end after `steps`."""

    steps: int
    length: int

    @property
    def scenes(self) -> int:
        """How many begin."""
        return -(-self.steps // self.length)

    def span(self, number: int) -> tuple[int, int]:
        """First step and end of a scene."""
        return number * self.length, min((number + 1) * self.length, self.steps)


def beat(setting: Setting, steps: int, rng: np.random.Generator) -> Beat:
    """A clip's own length of scenes, drawn from the setting's range."""
    low, high = bounds(setting.scene)
    return Beat(steps, -(-int(rng.integers(low, high + 1)) // setting.every))


@dataclass(eq=False)
class Play:
    """What happens, in steps.

    Attributes:
        stamps: per step what is drawn on the background, from back to front.
        places: quadrant of the shown object by step.
        scenes, swaps, regular, once: as in `Truth`.
    """

    stamps: list[list[Stamp]]
    places: dict[int, int]
    scenes: list[Scene]
    swaps: list[Swap] = field(default_factory=list)
    regular: tuple[int, ...] = ()
    once: tuple[int, ...] = ()


def quadrant(top: int, left: int, side: int, size: int) -> int:
    """Of the centre of a box: 0 upper left, 1 upper right, 2 lower left, 3 lower right."""
    return 2 * (2 * top + side > size) + (2 * left + side > size)
