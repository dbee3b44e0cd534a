"""The lessons of every training step, from the seed and the number of the step alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import torch
from torch import Tensor

from ..testbed.lessons import Course, Lesson, TimedQuestion
from .families import Trainable
from .layout import StreamLayout, stream_layout
from .options import PretrainOptions
from .packing import AskedIds, Packed, pack
from .targets import ANSWER, CAPTION, Part, Targets, Told, answer_parts, joined, running_parts

# Frames per second that prompts may name; None names none.
RATES = (None, 1.0, 2.0)
# From these shares of the steps on, videos have these shares of the longest one's frames.
LENGTHS = ((0.0, 3 / 16), (0.15, 3 / 8), (0.35, 3 / 4), (0.5, 1.0))
LESSONS = 2**22  # seeds of lessons for one model: steps are fewer, 64 lessons each
SEEDS = 2**32
One = TypeVar("One")


@dataclass(frozen=True, eq=False)
class Batch:
    """One step of the decoder.

    Attributes:
        packed: videos and questions.
        frames: [all frames, height, width, 3] uint8 of one video after the other.
        targets: what is to be said.
    """

    packed: Packed
    frames: Tensor
    targets: Targets


class Batches:
    """Makes the batch of any step.

    Args:
        model: whose prompt, positions and tokens they are in.
        course: gives the lessons.
        options: how many frames, of which kind, with which gaps.
    """

    def __init__(self, model: Trainable, course: Course, options: PretrainOptions) -> None:
        self.model, self.course, self.options = model, course, options
        self.layout = cache(self._layout)
        self.question_ids = cache(self._question_ids)

    def batch(self, step: int) -> Batch:
        """The lessons of a step, counted from 0."""
        options = self.options
        generator = step_generator(options.seed, step)
        frames = video_frames(options, step)
        count = max(1, options.frames_per_step // frames)
        first = options.seed * LESSONS + step * 64
        lessons = [self.course.lesson((first + row) % SEEDS, frames) for row in range(count)]
        layout = self.layout(frames, _one_of(RATES, generator))
        most = max(2, options.questions * frames // options.max_frames)
        asked = [_some(lesson.questions, most, generator) for lesson in lessons]
        gaps = random_gaps(count, len(layout.ends), options.gaps, generator)
        said = [self._said(lesson, generator) for lesson in lessons]
        segments = [
            [*map(self._asked, questions), *map(self._caption, sentences)]
            for questions, sentences in zip(asked, said, strict=True)
        ]
        packed = pack(layout, [[ids for ids, _ in row] for row in segments], gaps)
        told = [[one for _, one in row] for row in segments]
        frames_of_all = torch.cat([lesson.frames for lesson in lessons])
        return Batch(packed, frames_of_all, self._targets(packed, layout, lessons, told))

    @cached_property
    def word_ids(self) -> Tensor:
        """[words] int64, the token of each of the course's words."""
        return torch.cat([self.model.reply_ids(word)[0] for word in self.course.words])

    def _targets(
        self,
        packed: Packed,
        layout: StreamLayout,
        lessons: Sequence[Lesson],
        told: Sequence[Sequence[Told]],
    ) -> Targets:
        parts: Mapping[str, Part] = answer_parts(packed, told, self._end_of_turn)
        if self.options.kind == "inside":
            parts = {**running_parts(lessons, layout, self.word_ids), **parts}
        return joined(parts)

    def _asked(self, question: TimedQuestion) -> tuple[AskedIds, Told]:
        asked = self._segment(question.text, question.answer, question.frame)
        return asked, Told(question.task)

    def _caption(self, told: tuple[int, str]) -> tuple[AskedIds, Told]:
        """A sentence as the reply to no words; all of it weighs as much as one answer."""
        frame, sentence = told
        words = len(sentence.split())
        return self._segment("", sentence, frame), Told(CAPTION, words, ANSWER / words)

    def _segment(self, question: str, reply: str, frame: int) -> AskedIds:
        said = self.word_ids[[self._word[word] for word in reply.split()]]
        ids = torch.cat([self.question_ids(question), said])
        return AskedIds(ids, frame // self.model.frames_per_patch)

    def _said(self, lesson: Lesson, generator: torch.Generator) -> Sequence[tuple[int, str]]:
        most = self.options.captions
        return _some(lesson.captions, most, generator) if most else ()

    @cached_property
    def _word(self) -> Mapping[str, int]:
        return {word: number for number, word in enumerate(self.course.words)}

    @cached_property
    def _end_of_turn(self) -> int:
        return int(self.model.config.eos_token_id)

    def _question_ids(self, text: str) -> Tensor:
        return self.model.question_ids(text)[0]

    def _layout(self, frames: int, rate: float | None) -> StreamLayout:
        blank = torch.zeros_like(self.course.lesson(0, frames).frames)
        return stream_layout(self.model, blank, rate)


def step_generator(seed: int, step: int) -> torch.Generator:
    """What is drawn beside the lessons."""
    return torch.Generator().manual_seed(seed * LESSONS + step)


def video_frames(options: PretrainOptions, step: int) -> int:
    """Frames of a video at this step: an even number that grows up to `max_frames`, or is it."""
    share = step / options.steps if options.growing else 1.0
    part = [length for start, length in LENGTHS if start <= share][-1]
    return max(2, round(options.max_frames * part / 2) * 2)


def random_gaps(videos: int, patches: int, most: int, generator: torch.Generator) -> Tensor:
    """[videos, patches] positions skipped before each patch: in every other video none, in the
    others up to `most` altogether, shared out at random."""
    total = torch.rand(videos, 1, generator=generator) * most
    total = total * (torch.rand(videos, 1, generator=generator) < 0.5)
    shares = -torch.rand(videos, patches, generator=generator).clamp(min=1e-6).log()
    return (total * shares / shares.sum(1, keepdim=True)).long()


def _some(given: Sequence[One], most: int, generator: torch.Generator) -> list[One]:
    order = torch.randperm(len(given), generator=generator)[:most]
    return [given[number] for number in order.sort().values.tolist()]


def _one_of(values: Sequence[float | None], generator: torch.Generator) -> float | None:
    return values[int(torch.randint(0, len(values), (), generator=generator))]
