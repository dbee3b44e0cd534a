"""How well a model answers on held-out lessons, through the adapter and a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...framework import (
    CrossFrameMemory,
    Cursor,
    FullMemory,
    Reader,
    VideoModel,
    VideoSession,
)
from ..testbed.lessons import Course, Lesson, TimedQuestion


@dataclass(frozen=True)
class Reply:
    """One question and what was said.

    Attributes:
        seed, frames: of the lesson.
        question: with the right answer.
        said: the token of highest logit behind the question.
    """

    seed: int
    frames: int
    question: TimedQuestion
    said: str

    @property
    def right(self) -> bool:
        return self.said == self.question.answer


def replies(
    model: VideoModel,
    course: Course,
    *,
    seeds: Sequence[int],
    frames: int,
    memory: CrossFrameMemory | None = None,
    reader: Reader | None = None,
    blind: bool = False,
) -> Iterator[Reply]:
    """Every question of these lessons, asked when its last frame has passed.

    Args:
        seeds: of lessons, which a course of another part holds out.
        frames: of each lesson.
        memory: what later frames may attend to; all by default.
        reader: what a question reads; all by default.
        blind: ask without any frame, behind the prompt alone: what words give away.

    Raises:
        ValueError: for a model whose prompt has no text before the video, asked blind.
    """
    memory = memory or FullMemory()
    for seed in seeds:
        lesson = course.lesson(seed, frames)
        session = VideoSession(model.for_stream(frames), memory, reader=reader)
        if blind:
            session.push(_prologue(session.model))
        seen = 0
        for question in lesson.questions:
            if not blind:
                seen = _push_until(session, lesson, seen, question.frame + 1)
            yield Reply(seed, frames, question, said(session, question.text))


def said(session: VideoSession, question: str) -> str:
    """The token of highest logit behind a question, as text."""
    logits = session.question_logits(session.model.question_ids(question))
    return session.model.text(logits[0, -1].argmax()[None].cpu())


def accuracies(given: Sequence[Reply]) -> dict[str, float]:
    """By task, the share of right answers."""
    by_task: dict[str, list[bool]] = {}
    for reply in given:
        by_task.setdefault(reply.question.task, []).append(reply.right)
    return {task: sum(right) / len(right) for task, right in sorted(by_task.items())}


def chances(given: Sequence[Reply]) -> dict[str, float]:
    """By task, the expected share of right answers when one of each question's choices is taken
    at random."""
    by_task: dict[str, list[float]] = {}
    for reply in given:
        choices = reply.question.choices
        by_task.setdefault(reply.question.task, []).append(1 / len(choices) if choices else 0.0)
    return {task: sum(shares) / len(shares) for task, shares in sorted(by_task.items())}


def _push_until(session: VideoSession, lesson: Lesson, seen: int, end: int) -> int:
    """Push a lesson's frames up to `end`; the number of frames passed."""
    if end > seen:
        session.push(lesson.frames[seen:end])
    return max(seen, end)


def _prologue(model: VideoModel) -> object:
    prologue = model.prologue(Cursor())
    if prologue is None:
        raise ValueError(
            f"{type(model).__name__} has no text before the video, so there is nothing to ask "
            "behind without frames: leave blind out"
        )
    return prologue
