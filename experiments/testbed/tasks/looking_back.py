"""What is shown now, what came first, what came just before, which of two came first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from ..kinds import COLOUR_NAMES, SHAPES
from ..lessons import TimedQuestion
from ..past import Past
from .task import NUMBERS, Task, one_of, require_least, require_one, word_of

_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType({"colour": COLOUR_NAMES, "shape": SHAPES})


@dataclass(frozen=True)
class ColourOrShape(Task):
    """A task whose answer is the colour or the shape of one object.

    Args:
        what: "colour" or "shape".
    """

    kind: ClassVar[Sequence[str]] = (*COLOUR_NAMES, *SHAPES)

    what: str = "colour"

    def __post_init__(self) -> None:
        require_one("what", self.what, _WORDS)

    @property
    def answers(self) -> Sequence[str]:
        return _WORDS[self.what]


@dataclass(frozen=True)
class Now(ColourOrShape):
    """The object in view. Breaks no rule of memory: the control that the model can see.

    Args:
        what: "colour" or "shape".
    """

    templates: ClassVar[tuple[str, ...]] = ("what colour is it ?", "what shape is it ?")
    name: ClassVar[str] = "now"

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        if past.present is None:
            return None
        answer, evidence = word_of(past.present, self.what), past.frames([past.present])
        return self.question(past, f"what {self.what} is it ?", answer, evidence, rng)


@dataclass(frozen=True)
class First(ColourOrShape):
    """The first object of all. Breaks windows and recency: its frames only grow older.

    Args:
        what: "colour" or "shape".
    """

    templates: ClassVar[tuple[str, ...]] = ("what colour came first ?", "what shape came first ?")
    name: ClassVar[str] = "first"

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        if len(past.scenes) < 2:  # the first is still in view, or was the only one
            return None
        first = past.scenes[0]
        answer, evidence = word_of(first, self.what), past.frames([first])
        return self.question(past, f"what {self.what} came first ?", answer, evidence, rng)


@dataclass(frozen=True)
class Last(Task):
    """The object shown so many objects before the one in view. Breaks sinks, uniform samples and
    rules that drop by similarity: what is asked for is recent and like what is in view.

    Args:
        back: how many objects before, 1 to 4.
    """

    templates: ClassVar[tuple[str, ...]] = ("what colour came {} before this ?",)
    name: ClassVar[str] = "last"
    kind: ClassVar[Sequence[str]] = COLOUR_NAMES

    back: int = 1

    def __post_init__(self) -> None:
        require_one("back", self.back, (1, 2, 3, 4))

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        if past.present is None or len(past.scenes) <= self.back:
            return None
        scene = past.scenes[-1 - self.back]
        text = f"what colour came {NUMBERS[self.back]} before this ?"
        return self.question(past, text, word_of(scene, "colour"), past.frames([scene]), rng)


@dataclass(frozen=True)
class Order(Task):
    """Which of two shapes came first. Breaks memories that lose positions, or the first showing
    where a later one is kept. The shape in view is not asked about: it is likelier the later one.

    Args:
        apart: frames at least between the beginnings of the two.
    """

    templates: ClassVar[tuple[str, ...]] = ("was the {} or the {} first ?",)
    name: ClassVar[str] = "order"
    kind: ClassVar[Sequence[str]] = SHAPES

    apart: int = 1

    def __post_init__(self) -> None:
        require_least("apart", self.apart, 1)

    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        begun = {scene.shape: scene for scene in reversed(past.scenes)}
        if past.present is not None:
            del begun[past.present.shape]
        firsts = sorted(begun.values(), key=lambda scene: scene.start)
        pairs = [
            (early, late)
            for place, early in enumerate(firsts)
            for late in firsts[place + 1 :]
            if late.start - early.start >= self.apart
        ]
        if not pairs:
            return None
        pair = one_of(pairs, rng)
        names = [word_of(scene, "shape") for scene in pair]
        one, other = names if rng.random() < 0.5 else names[::-1]
        text = f"was the {one} or the {other} first ?"
        return self.question(past, text, names[0], past.frames(pair), rng, names)
