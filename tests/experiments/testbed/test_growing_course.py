"""A course whose scenes last once lessons are long."""

import torch

from crossframe.experiments.testbed import SynthCourse
from crossframe.experiments.testbed.growing_course import GrowingCourse

FIRST, LATER = SynthCourse(scene=1), SynthCourse(scene=(3, 4))
COURSE = GrowingCourse(FIRST, LATER, grown=16)


def test_short_lessons_are_the_first_courses_and_long_ones_the_later_ones() -> None:
    for frames, own in ((8, FIRST), (15, FIRST), (16, LATER), (24, LATER)):
        lesson, same = COURSE.lesson(5, frames), own.lesson(5, frames)
        assert torch.equal(lesson.frames, same.frames)
        assert lesson.questions == same.questions
    assert not torch.equal(FIRST.lesson(5, 16).frames, LATER.lesson(5, 16).frames)


def test_words_labels_and_stills_are_those_of_both() -> None:
    assert COURSE.words == FIRST.words == LATER.words
    assert COURSE.labels == FIRST.labels == LATER.labels
    frames, labels = COURSE.stills(3, 4)
    same, own = LATER.stills(3, 4)
    assert torch.equal(frames, same)
    assert all(torch.equal(labels[kind], own[kind]) for kind in own)
