"""What every task gives: a fair question about what was shown so far, or none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, TypeVar

import numpy as np

from ..kinds import COLOUR_NAMES, SHAPES
from ..lessons import TimedQuestion
from ..past import Past
from ..truth import Scene

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
ANY_DELAY = (1, 2**31)
T = TypeVar("T")


@dataclass(frozen=True)
class Task(ABC):
    """A kind of question; subclasses are frozen dataclasses of their knobs.

    A task asks so that no answer is likelier than another, given the question's text and its time:
    it draws the answer first and then what to ask about, or passes over a share of its chances.

    Attributes:
        name: as `TASKS` has it.
        stage: the stage of the clips that it asks about.
        templates: all of its texts, with "{}" where a word is put in.
        kind: all words that may answer it, whatever its knobs.
    """

    name: ClassVar[str]
    stage: ClassVar[str] = "scenes"
    templates: ClassVar[tuple[str, ...]]
    kind: ClassVar[Sequence[str]]

    @property
    def answers(self) -> Sequence[str]:
        """What may answer it with these knobs, each as likely."""
        return self.kind

    @abstractmethod
    def ask(self, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
        """A question after the last frame seen; None where it has none that is fair."""

    @property
    def spelling(self) -> str:
        """As people write it, knobs that stand at their defaults left out: "needle:delay=8-16"."""
        told = [self.name]
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                told.append(f"{each.name}={_told(value)}")
        return ":".join(told)

    def question(
        self,
        past: Past,
        text: str,
        answer: str,
        evidence: Sequence[int],
        rng: np.random.Generator,
        kind: Sequence[str] = (),
    ) -> TimedQuestion:
        """The question at the last frame seen, with up to four choices in an order drawn alike.

        Args:
            kind: what wrong choices are drawn from, where not from the answers.
        """
        others = [word for word in kind or self.answers if word != answer]
        chosen = [answer, *(others[place] for place in rng.permutation(len(others))[:3].tolist())]
        choices = tuple(chosen[place] for place in rng.permutation(len(chosen)).tolist())
        return TimedQuestion(self.name, text, answer, past.frame, tuple(evidence), choices)


def one_of(items: Sequence[T], rng: np.random.Generator) -> T:
    """An item, each as likely."""
    return items[int(rng.integers(len(items)))]


def require_range(name: str, value: object, least: int) -> None:
    """Refuse what is no (least, most)."""
    good = isinstance(value, tuple) and len(value) == 2 and least <= value[0] <= value[1]
    if not good:
        raise ValueError(f"{name} must be a range from {least} on, such as 8-16; got {value!r}")


def require_least(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number from `least` on."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} on; got {value!r}")


def require_one(name: str, value: object, known: Collection[object]) -> None:
    """Refuse what is none of the known values."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}; got {value!r}")


def word_of(scene: Scene, what: str) -> str:
    """Its "colour" or its "shape" by name."""
    return COLOUR_NAMES[scene.colour] if what == "colour" else SHAPES[scene.shape]


def _told(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
