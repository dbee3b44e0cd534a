"""The scores of a trained model: every task at several lengths, blind, and by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from ...framework import VideoModel
from ..testbed.lessons import Course
from .scores import accuracies, chances, replies

LENGTHS = (1 / 4, 1 / 2, 1, 2, 4)  # of lessons, beside the longest trained on


@dataclass(frozen=True)
class Scores:
    """Shares of right answers with full attention.

    Attributes:
        course: the held-out lessons, in words.
        seeds: of these lessons.
        trained_frames: the longest lessons of training.
        by_frames: by frames of a lesson, by task.
        blind, chance, asked: by task at `trained_frames`: without frames; one of each question's
            choices at random; the number of questions.
        example: a question of the course.
    """

    course: str
    seeds: Sequence[int]
    trained_frames: int
    by_frames: Mapping[int, Mapping[str, float]]
    blind: Mapping[str, float]
    chance: Mapping[str, float]
    asked: Mapping[str, int]
    example: str

    @property
    def tasks(self) -> Sequence[str]:
        return list(self.asked)

    def as_data(self) -> dict[str, object]:
        return asdict(self)


def score(
    model: VideoModel,
    course: Course,
    *,
    seeds: Sequence[int],
    trained_frames: int,
    say: Callable[[str], None] = lambda text: None,
) -> Scores:
    """Ask all questions of held-out lessons.

    Args:
        course: of another part than the one trained on.
        say: is told what is scored next.
    """
    by_frames = {}
    for share in LENGTHS:
        frames = max(2, round(trained_frames * share / 2) * 2)
        say(f"scoring lessons of {frames} frames")
        given = list(replies(model, course, seeds=seeds, frames=frames))
        by_frames[frames] = accuracies(given)
    say(f"scoring lessons of {trained_frames} frames, blind")
    blind = list(replies(model, course, seeds=seeds, frames=trained_frames, blind=True))
    return Scores(
        course=repr(course),
        seeds=list(seeds),
        trained_frames=trained_frames,
        by_frames=by_frames,
        blind=accuracies(blind),
        chance=chances(blind),
        asked=dict(sorted(Counter(reply.question.task for reply in blind).items())),
        example=blind[0].question.text,
    )
