"""Where something is that cannot be seen: under a cup, or outside the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kinds import CUPS, SIDES
from ..lessons import TimedQuestion
from ..past import Past
from .task import ANY_DELAY, Task, one_of, require_range, word_of


@dataclass(frozen=True)
class Swaps(Task):
    """Under which cup the ball is after swaps. Breaks every memory whose frames cannot build on one
    another: the state is in no frame. Asked between swaps only.

    Args:
        swaps: since the ball was shown, (least, most).
    """

    stage: ClassVar[str] = "cups"
    templates: ClassVar[tuple[str, ...]] = ("where is the ball ?",)
    name: ClassVar[str] = "swaps"
    kind: ClassVar[Sequence[str]] = CUPS

    swaps: tuple[int, int] = ANY_DELAY

    def __post_init__(self) -> None:
        require_range("swaps", self.swaps, 0)

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        shown = past.scenes[-1]
        begun = [swap for swap in past.truth.swaps if shown.end <= swap.start <= past.frame]
        least, most = self.swaps
        under_way = bool(begun) and begun[-1].end > past.frame + 1
        if past.present is not None or under_way or not least <= len(begun) <= most:
            return None
        cup = shown.cup
        for swap in begun:
            if cup in (swap.first, swap.second):
                cup = swap.first + swap.second - cup
        evidence = range(shown.start, past.frame + 1)
        return self.question(past, self.templates[0], CUPS[cup], evidence, rng)


@dataclass(frozen=True)
class Left(Task):
    """By which side a shape left the picture. Breaks rules that keep what is large or lasting: the
    way out is shown at a side, and last in few pixels.

    Args:
        delay: frames since it left, (least, most).
    """

    stage: ClassVar[str] = "exits"
    templates: ClassVar[tuple[str, ...]] = ("where did the {} go ?",)
    name: ClassVar[str] = "left"
    kind: ClassVar[Sequence[str]] = SIDES

    delay: tuple[int, int] = ANY_DELAY

    def __post_init__(self) -> None:
        require_range("delay", self.delay, 1)

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        least, most = self.delay
        latest = {scene.shape: scene for scene in past.scenes}
        gone = [scene for scene in latest.values() if least <= past.ago(scene) <= most]
        if not gone:
            return None
        scene = one_of(gone, rng)
        text = f"where did the {word_of(scene, 'shape')} go ?"
        return self.question(past, text, SIDES[scene.side], past.frames([scene]), rng)
