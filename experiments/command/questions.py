"""Questions of a command, each at a time of its own, and how they are answered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        text: as it is asked.
        at: seconds of the video, or the number of a text's frame; it is asked when all frames until
            then have passed. None: at the end.
    """

    text: str
    at: float | None = None


@dataclass(frozen=True)
class Answering:
    """How questions are answered.

    Args:
        max_new_tokens: most tokens of an answer.
        generation: options of transformers' `generate`.
        seed: of every answer that is sampled, so that none depends on the others.
    """

    max_new_tokens: int = 256
    generation: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


def questions_from(texts: Iterable[str], timed: Iterable[Sequence[str]]) -> list[Question]:
    """Questions in the order in which they are asked: by their times, those at the end last.

    Args:
        texts: asked at the end.
        timed: pairs of seconds and a question, in any order; of those at one time, as given.

    Raises:
        ValueError: for a time that is none, naming it.
    """
    early = [Question(text, _seconds(at, text)) for at, text in timed]
    return [*sorted(early, key=lambda question: question.at or 0.0), *map(Question, texts)]


def require_within(questions: Iterable[Question], begin: float, end: float, what: str) -> None:
    """Refuse questions at times when nothing is shown; the ValueError names time and remedy.

    Args:
        begin, end: seconds from and until which `what` shows something.
    """
    for question in questions:
        if question.at is not None and not begin <= question.at <= end:
            raise ValueError(
                f"--at {question.at:g} {question.text!r}: {what} goes from {begin:g} to {end:g} "
                "seconds; ask then, or at its end without --at"
            )


def seeded(seed: int) -> None:
    """Begin the random numbers of a sampled answer anew."""
    torch.manual_seed(seed)


def _seconds(at: str, text: str) -> float:
    try:
        seconds = float(at)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(
            f"--at {at!r} {text!r}: write the seconds of the video and then the question, such as "
            '--at 12.5 "What is he doing?"'
        )
    return seconds
