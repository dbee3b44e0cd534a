"""How often something was shown, and the same modulo a small number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kinds import COLOUR_NAMES
from ..lessons import TimedQuestion
from ..past import Past
from ..truth import Scene
from .task import NUMBERS, Task, one_of, require_one, word_of


@dataclass(frozen=True)
class Count(Task):
    """How many times a shape was shown; where many were, how many times in one colour. Breaks
    memories that merge or drop what is alike.

    Asked only where something was shown once, something twice, and so on up to `most`: then the
    answer is drawn first.

    Args:
        most: the largest answer, 2 to 6; the others go from one on.
    """

    templates: ClassVar[tuple[str, ...]] = (
        "how often was the {} shown ?",
        "how often was the {} {} shown ?",
    )
    name: ClassVar[str] = "count"
    kind: ClassVar[Sequence[str]] = NUMBERS[1:]

    most: int = 3

    def __post_init__(self) -> None:
        require_one("most", self.most, range(2, 7))

    @property
    def answers(self) -> Sequence[str]:
        return NUMBERS[1 : self.most + 1]

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        for kind, text in (
            (_by_shape, "how often was the {1} shown ?"),
            (_by_object, "how often was the {0} {1} shown ?"),
        ):
            times = _by_times(past, kind, lambda number: number)
            if all(number in times for number in range(1, self.most + 1)):
                number = int(rng.integers(1, self.most + 1))
                shown = one_of(times[number], rng)
                text = text.format(*(word_of(shown[0], what) for what in ("colour", "shape")))
                return self.question(past, text, NUMBERS[number], past.frames(shown), rng)
        return None


@dataclass(frozen=True)
class Tally(Task):
    """How many objects of a colour were shown, modulo a small number. Breaks any memory that has
    lost one of them: half a count is no help. Asked as `Count` is, of colours shown at all.

    Args:
        modulo: 2 to 4.
    """

    templates: ClassVar[tuple[str, ...]] = ("how many were {} modulo {} ?",)
    name: ClassVar[str] = "tally"
    kind: ClassVar[Sequence[str]] = NUMBERS[:4]

    modulo: int = 2

    def __post_init__(self) -> None:
        require_one("modulo", self.modulo, (2, 3, 4))

    @property
    def answers(self) -> Sequence[str]:
        return NUMBERS[: self.modulo]

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        times = _by_times(past, lambda scene: scene.colour, lambda number: number % self.modulo)
        if len(times) < self.modulo:
            return None
        rest = int(rng.integers(self.modulo))
        shown = one_of(times[rest], rng)
        text = f"how many were {COLOUR_NAMES[shown[0].colour]} modulo {NUMBERS[self.modulo]} ?"
        return self.question(past, text, NUMBERS[rest], past.frames(shown), rng)


def _by_shape(scene: Scene) -> Hashable:
    return scene.shape


def _by_object(scene: Scene) -> Hashable:
    return scene.shape, scene.colour


def _by_times(
    past: Past, kind: Callable[[Scene], Hashable], told: Callable[[int], int]
) -> dict[int, list[list[Scene]]]:
    """The scenes of each kind, by what is told of their number."""
    kinds: dict[Hashable, list[Scene]] = {}
    for scene in past.scenes:
        kinds.setdefault(kind(scene), []).append(scene)
    times: dict[int, list[list[Scene]]] = {}
    for scenes in kinds.values():
        times.setdefault(told(len(scenes)), []).append(scenes)
    return times
