"""How often a guess without the video is right: what the questions themselves give away."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from .chance import generator
from .clip import make_truth
from .course import SynthCourse
from .lessons import TimedQuestion
from .past import Past
from .tasks import task_from


@dataclass(frozen=True)
class _Asked:
    """A question, and what its last frame shows."""

    question: TimedQuestion
    shape: int
    colour: int


Clue = Callable[[_Asked], Hashable]
# What a guesser may look at. Times in bins, so that each is seen often enough.
_BLIND: Sequence[Clue] = (
    lambda asked: asked.question.text,
    lambda asked: asked.question.frame // 4,
    lambda asked: (asked.question.text, asked.question.frame // 8),
)
_LAST_FRAME: Sequence[Clue] = (
    lambda asked: asked.colour,
    lambda asked: asked.shape,
    lambda asked: (asked.question.text, asked.shape),
)


@dataclass(frozen=True)
class BlindGuess:
    """What guessers get right.

    Attributes:
        questions: on which they were tried, one a clip.
        chance: share right of a guess among the answers.
        right: of the best of three: by text, by time, by both.
        last_frame: of the best of three that see the last frame: by its colour, by its shape, by
            its shape and the text.
        error: standard error of a share at chance.
    """

    questions: int
    chance: float
    right: float
    last_frame: float
    error: float


def blind_guess(task: str, clips: int, *, frames: int = 32, part: int = 0) -> BlindGuess:
    """Learn the commonest answers on one half of the clips of a course, try them on the other.

    Args:
        task: as `task_from` reads it.
        clips: of each of which one question at a time drawn alike is taken, if there is a fair one.

    Raises:
        ValueError: for so few clips that one half has no question.
    """
    halves = _questions(task, clips, frames, part)
    if not all(halves):
        raise ValueError(f"{clips} clips give no question of {task} to one half: take more")
    learnt, tried = halves
    kind = task_from(task)
    chance = 1 / (2 if kind.name == "order" else len(kind.answers))
    blind, seeing = (
        max(_share_right(learnt, tried, clue) for clue in clues) for clues in (_BLIND, _LAST_FRAME)
    )
    error = (chance * (1 - chance) / len(tried)) ** 0.5
    return BlindGuess(len(tried), chance, blind, seeing, error)


def _questions(task: str, clips: int, frames: int, part: int) -> tuple[list[_Asked], list[_Asked]]:
    course, kind = SynthCourse(tasks=(task,), part=part), task_from(task)
    halves: tuple[list[_Asked], list[_Asked]] = ([], [])
    for seed in range(clips):
        truth = make_truth(course.setting(seed), part, seed, frames)
        rng = generator(part, seed, "questions")
        question = kind.ask(Past(truth, int(rng.integers(frames))), rng)
        if question is not None:
            shape, colour = truth.shape[question.frame], truth.colour[question.frame]
            halves[seed % 2].append(_Asked(question, int(shape), int(colour)))
    return halves


def _share_right(learnt: Sequence[_Asked], tried: Sequence[_Asked], clue: Clue) -> float:
    answers: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    for one in learnt:
        answers[clue(one)][one.question.answer] += 1
    guesses = {seen: counts.most_common(1)[0][0] for seen, counts in answers.items()}
    return sum(guesses.get(clue(one)) == one.question.answer for one in tried) / len(tried)
