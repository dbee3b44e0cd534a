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

# What a guesser may look at. Times in bins, so that each is seen often enough.
_CLUES: Sequence[Callable[[TimedQuestion], Hashable]] = (
    lambda question: question.text,
    lambda question: question.frame // 4,
    lambda question: (question.text, question.frame // 8),
)


@dataclass(frozen=True)
class BlindGuess:
    """The best of three guessers: by text, by time, by both.

    Attributes:
        questions: on which they were tried, one a clip.
        chance: share right of a guess among the answers.
        right: share right of the best guesser.
        error: standard error of a share at chance.
    """

    questions: int
    chance: float
    right: float
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
    right = max(_share_right(learnt, tried, clue) for clue in _CLUES)
    return BlindGuess(len(tried), chance, right, (chance * (1 - chance) / len(tried)) ** 0.5)


def _questions(
    task: str, clips: int, frames: int, part: int
) -> tuple[list[TimedQuestion], list[TimedQuestion]]:
    course, kind = SynthCourse(tasks=(task,), part=part), task_from(task)
    halves: tuple[list[TimedQuestion], list[TimedQuestion]] = ([], [])
    for seed in range(clips):
        truth = make_truth(course.setting(seed), part, seed, frames)
        rng = generator(part, seed, "questions")
        question = kind.ask(Past(truth, int(rng.integers(frames))), rng)
        if question is not None:
            halves[seed % 2].append(question)
    return halves


def _share_right(
    learnt: Sequence[TimedQuestion],
    tried: Sequence[TimedQuestion],
    clue: Callable[[TimedQuestion], Hashable],
) -> float:
    answers: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    for question in learnt:
        answers[clue(question)][question.answer] += 1
    guesses = {seen: counts.most_common(1)[0][0] for seen, counts in answers.items()}
    return sum(guesses.get(clue(one)) == one.answer for one in tried) / len(tried)
