"""The checkpoints that come along answer, and not without looking."""

import pytest

from crossframe.experiments.pretraining.options import SEARCH
from crossframe.experiments.pretraining.scores import accuracies, replies
from crossframe.experiments.testbed import SynthCourse
from crossframe.framework import VideoModel
from crossframe.methods import ReadLastFrames
from crossframe.models import load_model
from crossframe.models.own_checkpoints import pretrained_names

TASKS = ("now", "needle", "recall", "first")
FRAMES, SEEDS = 24, range(8)


@pytest.fixture(scope="module", params=pretrained_names())
def model(request: pytest.FixtureRequest) -> VideoModel:
    return load_model(request.param, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def course(model: VideoModel) -> SynthCourse:
    """Lessons of the part to look at, which no training saw."""
    every = model.frames_per_patch
    return SynthCourse(tasks=TASKS, every=every, part=SEARCH, scene=1, questions=8)


def test_a_shipped_model_answers_what_it_was_taught(model: VideoModel, course: SynthCourse) -> None:
    given = list(replies(model, course, seeds=SEEDS, frames=FRAMES))
    assert len(given) > 40
    assert set(accuracies(given)) == set(TASKS)
    assert sum(reply.right for reply in given) / len(given) > 0.95


def test_it_needs_the_video_and_the_past(model: VideoModel, course: SynthCourse) -> None:
    blind = list(replies(model, course, seeds=SEEDS, frames=FRAMES, blind=True))
    assert max(accuracies(blind).values()) < 0.5
    late = list(replies(model, course, seeds=SEEDS, frames=FRAMES, reader=ReadLastFrames(1)))
    rights = accuracies(late)
    assert rights["now"] > 0.9 and rights["first"] < 0.6
