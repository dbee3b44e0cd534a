"""Rows of a video's frames for a page: with the questions that they answer, or with what a memory
still holds of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..observation.held import FramePatches
from ..observation.pictures import Picture
from ..reports.drawing import COLOURS
from ..testbed.lessons import TimedQuestion
from .clip import evidence_scenes


@dataclass(frozen=True)
class Patch:
    """A patch of a frame, in units of patches, and the share of layers and heads that lost it."""

    row: int
    column: int
    lost: float


@dataclass(frozen=True)
class Still:
    """A frame of a strip.

    Attributes:
        picture: as CSS takes it.
        tasks: of the questions that it answers.
        rows, columns: of its patches; 0 where none are told.
    """

    seconds: float
    picture: str
    tasks: Sequence[str] = ()
    rows: int = 0
    columns: int = 0
    patches: Sequence[Patch] = ()


@dataclass(frozen=True)
class Strip:
    """Frames in order; `name` of its memory, or "" for the video itself."""

    name: str
    stills: Sequence[Still]


def task_colours(tasks: Iterable[str]) -> dict[str, str]:
    """A colour for each, the same wherever it is shown."""
    return dict(zip(tasks, COLOURS[1:], strict=False))


def evidence_strip(pictures: Sequence[Picture], questions: Sequence[TimedQuestion]) -> Strip:
    """The frames that the model sees, each with the questions that it answers."""
    answered = {question.task: evidence_scenes(question) for question in questions}
    stills = [
        Still(
            picture.seconds or 0.0,
            picture.data_url,
            [task for task, scenes in answered.items() if number in scenes],
        )
        for number, picture in enumerate(pictures)
    ]
    return Strip("", stills)


def held_strip(name: str, frames: Sequence[FramePatches]) -> Strip:
    """What a memory still holds of every frame when the last one has passed."""
    stills = [
        Still(
            frame.picture.seconds or 0.0,
            frame.picture.data_url,
            rows=frame.rows,
            columns=frame.columns,
            patches=list(_patches(frame, len(frames) - 1)),
        )
        for frame in frames
    ]
    return Strip(name, stills)


def _patches(frame: FramePatches, step: int) -> Iterator[Patch]:
    share = frame.share(step)
    for row in range(frame.rows):
        for column in range(frame.columns):
            yield Patch(row, column, 1 - float(share[row, column]) ** 0.5)
