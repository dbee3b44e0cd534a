"""One packed forward against the session: every question, with every family."""

from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.experiments.pretraining.families import Trainable, trainable
from crossframe.experiments.pretraining.layout import stream_layout
from crossframe.experiments.pretraining.options import FAMILIES
from crossframe.experiments.pretraining.packing import AskedIds, Packed, pack, packed_hidden
from crossframe.experiments.testbed.lessons import Lesson
from crossframe.framework import FullMemory, VideoSession

from .shapes import Shapes

COURSE = Shapes(every=2)
FRAMES = 12


@pytest.fixture(scope="module", params=list(FAMILIES))
def model(request: pytest.FixtureRequest) -> Trainable:
    return trainable(request.param, COURSE.words, seed=1)


def packed_logits(
    model: Trainable, lessons: list[Lesson], rate: float | None, gaps: Tensor | None = None
) -> tuple[Packed, Tensor]:
    per = model.frames_per_patch
    asked = [
        [
            AskedIds(model.question_ids(question.text)[0], question.frame // per)
            for question in lesson.questions
        ]
        for lesson in lessons
    ]
    layout = stream_layout(model, lessons[0].frames, rate)
    packed = pack(layout, asked, gaps)
    features = model.features(torch.cat([lesson.frames for lesson in lessons]))
    return packed, model.logits(packed_hidden(model, packed, features))


@pytest.mark.parametrize("rate", [None, 2.0])
@torch.no_grad()
def test_every_question_gets_the_logits_of_a_session(model: Trainable, rate: float | None) -> None:
    lessons = [COURSE.lesson(seed, FRAMES) for seed in range(3)]
    packed, logits = packed_logits(model, lessons, rate)
    compared = 0
    for row, lesson in enumerate(lessons):
        for number, question in enumerate(lesson.questions, 1):
            session = VideoSession(model.for_stream(FRAMES, fps=rate), FullMemory())
            count = question.frame + 1
            times = None if rate is None else [frame / rate for frame in range(count)]
            session.push(lesson.frames[:count], times)
            expected = session.question_logits(model.question_ids(question.text))[0]
            found = logits[row, packed.segment[row] == number]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
            compared += 1
    assert compared > 10


@torch.no_grad()
def test_the_stream_gets_the_hidden_states_of_a_session(model: Trainable) -> None:
    lesson = COURSE.lesson(5, FRAMES)
    packed, logits = packed_logits(model, [lesson], None)
    session = VideoSession(model, FullMemory())
    hidden = session.push(lesson.frames, return_hidden=True)
    assert hidden is not None
    stream = logits[packed.segment == 0]
    torch.testing.assert_close(stream, model.logits(hidden)[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_gaps_move_all_that_follows_and_nothing_else(model: Trainable) -> None:
    lesson = COURSE.lesson(5, FRAMES)
    patches = FRAMES // model.frames_per_patch
    gaps = torch.zeros(1, patches, dtype=torch.int64)
    gaps[0, 3] = 500
    plain, before = packed_logits(model, [lesson], None)
    packed, after = packed_logits(model, [lesson], None, gaps)
    late = packed.seen[0] >= 3
    moved = (packed.positions - plain.positions)[:, 0]
    assert (moved[:, late] == 500).all()
    assert (moved[:, ~late] == 0).all()
    torch.testing.assert_close(after[0, ~late], before[0, ~late], rtol=0, atol=1e-6)
    assert (after[0, late] - before[0, late]).abs().max() > 1e-3


def test_every_part_of_the_decoder_gets_a_gradient(model: Trainable) -> None:
    _, logits = packed_logits(model, [COURSE.lesson(1, 6)], None)
    logits.logsumexp(-1).sum().backward()
    decoder: Any = model.decoder
    without = [name for name, weight in decoder.named_parameters() if weight.grad is None]
    model.hf_model.zero_grad()
    assert without == []
