"""What belonged to a shape when it was shown before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kinds import COLOUR_NAMES
from ..lessons import TimedQuestion
from ..past import Past
from .task import ANY_DELAY, Task, one_of, require_least, require_one, require_range, word_of


@dataclass(frozen=True)
class Needle(Task):
    """The colour of a shape when it was last shown. Breaks every rule that drops what nobody has
    asked for yet; the longer the delay, the surer.

    Args:
        delay: frames since it was last in view, (least, most).
        shown: "once" asks only of shapes shown exactly once so far, "any" of all.
    """

    templates: ClassVar[tuple[str, ...]] = ("what colour was the {} last ?",)
    name: ClassVar[str] = "needle"
    kind: ClassVar[Sequence[str]] = COLOUR_NAMES

    delay: tuple[int, int] = ANY_DELAY
    shown: str = "any"

    def __post_init__(self) -> None:
        require_range("delay", self.delay, 1)
        require_one("shown", self.shown, ("any", "once"))

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        least, most = self.delay
        latest = {scene.shape: scene for scene in past.scenes}
        hidden = [scene for scene in latest.values() if least <= past.ago(scene) <= most]
        if self.shown == "once":
            hidden = [scene for scene in hidden if len(past.of_shape(scene.shape)) == 1]
        if not hidden:
            return None
        scene = one_of(hidden, rng)
        text = f"what colour was the {word_of(scene, 'shape')} last ?"
        return self.question(past, text, word_of(scene, "colour"), past.frames([scene]), rng)


@dataclass(frozen=True)
class Recall(Task):
    """The colour that the shape now in view had the last time before. Breaks memories that later
    frames cannot look things up in, as it can be answered while the video runs.

    Args:
        delay: frames since that time, (least, most).
    """

    templates: ClassVar[tuple[str, ...]] = ("what colour had it before ?",)
    name: ClassVar[str] = "recall"
    kind: ClassVar[Sequence[str]] = COLOUR_NAMES
    back: ClassVar[int] = 1

    delay: tuple[int, int] = ANY_DELAY

    def __post_init__(self) -> None:
        require_range("delay", self.delay, 1)

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        shown = past.of_shape(past.present.shape) if past.present is not None else []
        if len(shown) <= self.back:
            return None
        scene, (least, most) = shown[-1 - self.back], self.delay
        if not least <= past.ago(scene) <= most:
            return None
        answer, evidence = word_of(scene, "colour"), past.frames([scene])
        return self.question(past, self.templates[0], answer, evidence, rng)


@dataclass(frozen=True)
class BeforeLast(Recall):
    """The colour that the shape now in view had the time before the last. Breaks in addition those
    memories that keep only the latest of a kind.

    Args:
        delay: frames since that time, (least, most).
    """

    templates: ClassVar[tuple[str, ...]] = ("what colour had it the time before last ?",)
    name: ClassVar[str] = "before_last"
    back: ClassVar[int] = 2


@dataclass(frozen=True)
class SeenBefore(Task):
    """Whether the shape in view was shown before. Breaks memories that are sure of what they keep
    only: "no" needs all that was shown.

    Of the likelier answer, given how many objects came before, as many chances are passed over as
    make both alike. The evidence of a "yes" is the last showing, of a "no" all frames before.

    Args:
        least: objects at least before the one in view.
    """

    templates: ClassVar[tuple[str, ...]] = ("was this shape shown before ?",)
    name: ClassVar[str] = "seen_before"
    kind: ClassVar[Sequence[str]] = ("yes", "no")

    least: int = 1

    def __post_init__(self) -> None:
        require_least("least", self.least, 1)

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        if past.present is None or len(past.scenes) <= self.least:
            return None
        new, earlier = _probability_of_new(past), past.of_shape(past.present.shape)[:-1]
        own, other = (1 - new, new) if earlier else (new, 1 - new)
        if rng.random() * own >= other:
            return None
        seen = past.frames(earlier[-1:]) if earlier else tuple(range(past.present.start))
        answer = "yes" if earlier else "no"
        return self.question(past, self.templates[0], answer, seen, rng)


def _probability_of_new(past: Past) -> float:
    """That the object in view has a shape not shown before, by how the stage draws its shapes.

    Shapes that come once lie anywhere. The others walk: each is any but the one before, so that
    the walk, told backwards, has avoided where it began at every step but the first.
    """
    truth, before = past.truth, len(past.scenes) - 1
    gone = sum(scene.shape in truth.once for scene in past.scenes[:-1])
    once = (len(truth.once) - gone) / (len(truth.scenes) - before)
    steps, others = before - gone, len(truth.regular) - 1
    unmet = (others - 1) ** (steps - 1) / others ** (steps - 1) if steps > 0 else 1.0
    return once + (1 - once) * unmet
