"""What a testbed gives to those who train, ask and score: videos, their questions and truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class TimedQuestion:
    """A question about what was shown so far.

    Attributes:
        task: the kind of question, such as "needle".
        text: words of the course, apart by blanks.
        answer: one word of the course.
        frame: the last frame seen when it is asked.
        evidence: the frames that show what answers it, ascending, none after `frame`; the answer
            is settled by the last of them.
        choices: what a multiple-choice form offers: `answer` and wrong words of its kind.
    """

    task: str
    text: str
    answer: str
    frame: int
    evidence: tuple[int, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Lesson:
    """One video with what can be told of it.

    Attributes:
        frames: [frames, size, size, 3] uint8 RGB.
        labels: per kind [frames] int64, the class that a single frame shows; -1 shows none.
        running: per task [frames] int64, the index in the course's words of what could be answered
            after each frame without being asked; -1 where there is nothing to tell.
        questions: in the order of the frames they are asked after.
        captions: sentences in the course's words, each with the frame after which it can be said.
    """

    frames: Tensor
    labels: Mapping[str, Tensor]
    running: Mapping[str, Tensor] = field(default_factory=dict)
    questions: tuple[TimedQuestion, ...] = ()
    captions: tuple[tuple[int, str], ...] = ()


class Course(Protocol):
    """An endless supply of lessons, each made from its seed alone."""

    @property
    def words(self) -> Sequence[str]:
        """All words of questions, answers and captions, each once."""
        ...

    @property
    def labels(self) -> Mapping[str, int]:
        """Kinds of labels and how many classes each has."""
        ...

    def lesson(self, seed: int, frames: int) -> Lesson:
        """The video of this seed, of so many frames, with questions at several times."""
        ...

    def stills(self, seed: int, count: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Single frames [count, size, size, 3] uint8 and their labels [count] by kind."""
        ...
