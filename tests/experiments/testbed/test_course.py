"""The course: its interface, its mixture, and that parts never meet."""

import hashlib

import pytest
import torch

from crossframe.experiments.testbed import TASKS, Course, Setting, SynthCourse, captions, make_clip
from crossframe.experiments.testbed.kinds import COLOUR_NAMES, SHAPES
from crossframe.experiments.testbed.truth import Scene

ALL = tuple(TASKS)


def digests(part: int, seeds: range, size: int = 32) -> set[bytes]:
    """Hashes of single frames: no picture of one clip may be in another."""
    course = SynthCourse(size=size, tasks=ALL, part=part)
    clips = (course.clip(seed, 4).frames for seed in seeds)
    return {hashlib.sha256(frame.tobytes()).digest() for clip in clips for frame in clip}


def test_it_is_a_course() -> None:
    course: Course = SynthCourse(size=32, tasks=("needle",), every=1, part=0)
    lesson = course.lesson(3, 16)
    assert lesson.frames.shape == (16, 32, 32, 3)
    assert lesson.frames.dtype == torch.uint8
    assert set(lesson.labels) == set(course.labels)
    for kind, classes in course.labels.items():
        assert lesson.labels[kind].dtype == torch.int64
        assert -1 <= lesson.labels[kind].min() <= lesson.labels[kind].max() < classes


@pytest.mark.parametrize("every", [1, 2])
def test_a_lesson_asks_its_tasks_in_order_of_time_at_the_end_of_steps(every: int) -> None:
    course = SynthCourse(tasks=ALL, every=every)
    asked = set()
    for seed in range(80):
        questions = course.lesson(seed, 24).questions
        frames = [question.frame for question in questions]
        assert frames == sorted(frames)
        assert all(frame % every == every - 1 for frame in frames)
        assert len(questions) <= course.questions
        asked |= {question.task for question in questions}
        for question in questions:
            assert {*question.text.split(), question.answer} <= set(course.words)
    assert asked == set(ALL)


def test_lessons_are_made_of_their_seed_alone() -> None:
    one, other = SynthCourse(tasks=ALL), SynthCourse(tasks=ALL)
    assert (one.lesson(9, 24).frames == other.lesson(9, 24).frames).all()
    assert one.lesson(9, 24).questions == other.lesson(9, 24).questions
    # What is asked changes nothing of what is drawn.
    more = SynthCourse(tasks=ALL, questions=20)
    assert (one.lesson(9, 24).frames == more.lesson(9, 24).frames).all()


def test_words_do_not_depend_on_the_tasks_and_stand_once() -> None:
    words = SynthCourse(tasks=("now",)).words
    assert words == SynthCourse(tasks=ALL).words
    assert len(set(words)) == len(words)


def test_running_targets_against_plain_loops() -> None:
    course = SynthCourse()
    for seed in range(40):
        truth = course.clip(seed, 32).truth
        running, words = course.lesson(seed, 32).running, [*course.words, None]
        shown: list[Scene] = []
        for frame in range(32):
            for scene in truth.scenes:
                if scene.start == frame:
                    shown.append(scene)
            told = {name: words[int(row[frame])] for name, row in running.items()}
            if truth.shape[frame] < 0:
                assert set(told.values()) == {None}
                continue
            same = [COLOUR_NAMES[one.colour] for one in shown if one.shape == shown[-1].shape]
            assert told["shape"] == SHAPES[truth.shape[frame]]
            assert told["colour"] == COLOUR_NAMES[truth.colour[frame]]
            assert told["recall"] == (same[-2] if len(same) > 1 else None)
            assert told["before_last"] == (same[-3] if len(same) > 2 else None)


def test_settings_are_mixed() -> None:
    settings = [SynthCourse(tasks=ALL).setting(seed) for seed in range(200)]
    for knob, values in {
        "stage": {"scenes", "cups", "exits"},
        "background": {"static", "changing"},
        "cuts": {0.0, 0.3},
        "distractors": {0, 2},
        "occlusion": {0.0, 0.2},
    }.items():
        assert {getattr(setting, knob) for setting in settings} == values


def test_stills_are_single_frames_with_labels() -> None:
    course = SynthCourse(every=2)
    frames, labels = course.stills(1, 255)
    assert frames.shape == (255, 32, 32, 3)
    assert {kind: len(row) for kind, row in labels.items()} == dict.fromkeys(course.labels, 255)
    for kind, classes in course.labels.items():
        found = set(labels[kind].tolist()) - {-1}
        assert len(found) >= classes - (kind == "shape")
    assert 0.5 < (labels["shape"] >= 0).float().mean() < 0.8


def test_all_shapes_come_in_stills() -> None:
    seen = set[int]()
    for seed in range(8):
        seen |= set(SynthCourse().stills(seed, 64)[1]["shape"].tolist())
    assert seen == {-1, *range(len(SHAPES))}


def test_parts_never_meet() -> None:
    """Over thousands of clips, the same seeds in each part among them."""
    train, search, judge = (digests(part, range(1500)) for part in (0, 1, 2))
    assert not (train & search or train & judge or search & judge)


def test_captions_tell_each_scene_when_it_can_be_seen() -> None:
    truth = make_clip(Setting(every=2, scene=4), 0, 3, 32).truth
    told = captions(truth, every=2)
    assert len(told) == len(truth.scenes) > 2
    for (frame, text), scene in zip(told, truth.scenes, strict=True):
        assert frame == scene.start + 1
        assert text == f"a {COLOUR_NAMES[scene.colour]} {SHAPES[scene.shape]} ."
        assert set(text.split()) <= set(SynthCourse().words)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"tasks": ()}, "a course needs a task; known are now, needle"),
        ({"tasks": ("nedle",)}, "unknown task 'nedle'"),
        ({"part": 3}, "part must be one of"),
        ({"size": 20}, "size must be 32 to 128"),
        ({"scene": 40}, "scene must be 1 to 30 frames"),
        ({"every": 9}, "every must be 1 to 8"),
        ({"questions": 0}, "questions must be at least 1 a lesson, got 0"),
    ],
)
def test_courses_that_there_are_not_are_refused(knobs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SynthCourse(**knobs)
