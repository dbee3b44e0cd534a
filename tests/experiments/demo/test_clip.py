"""The bundled video is the clip that it is told to be, and nothing was picked."""

from pathlib import Path

import numpy as np
import pytest

from crossframe.experiments.demo.clip import (
    COURSE,
    RATE,
    SCENE,
    SCENES,
    SECONDS,
    TASKS,
    DemoClip,
    demo_clip,
    evidence_scenes,
    questions_at_end,
    told,
    video_path,
)
from crossframe.experiments.demo.settings import STREAM
from crossframe.experiments.publishing.make_demo_video import write_demo_video
from crossframe.experiments.testbed.kinds import COLOUR_NAMES, SHAPES
from crossframe.framework.video import stream_video


@pytest.fixture(scope="module")
def clip() -> DemoClip:
    return demo_clip()


def test_it_is_the_first_seed_with_every_question(clip: DemoClip) -> None:
    assert [question.task for question in clip.questions] == list(TASKS)
    assert all(len(questions_at_end(seed)) < len(TASKS) for seed in range(clip.seed))
    assert (COURSE.part, COURSE.tasks[0]) == (2, "now")


def test_the_bundled_file_shows_it(clip: DemoClip) -> None:
    drawn = clip.draw()
    shown = [image.numpy() for image, _ in stream_video(video_path(), fps=None)]
    assert len(shown) == len(drawn) == SCENES * SCENE
    small = np.stack(shown).reshape(-1, 128, 2, 128, 2, 3).mean((2, 4))
    assert abs(small - drawn).mean() < 8  # of 255; noise of up to 15 is what encoding loses
    assert video_path().stat().st_size < 400_000


def test_the_model_sees_one_frame_of_each_scene(clip: DemoClip) -> None:
    taken = stream_video(video_path(), fps=STREAM.fps, max_frames=STREAM.max_frames)
    times = [seconds for _, seconds in taken]
    assert times == [SECONDS * scene for scene in range(SCENES)]
    truth = COURSE.clip(clip.seed, SCENES * SCENE).truth
    for question in clip.questions:
        for scene in evidence_scenes(question):
            frame = scene * SCENE
            assert frame in question.evidence
            names = (COLOUR_NAMES[truth.colour[frame]], SHAPES[truth.shape[frame]])
            assert question.answer in names or question.task == "order"


def test_questions_are_told_in_seconds(clip: DemoClip) -> None:
    now = told(clip.questions[0])
    end = (SCENES * SCENE - SCENE) / RATE
    assert now == {
        "task": "now",
        "question": "what colour is it ?",
        "right answer": clip.questions[0].answer,
        "shown at": [end],
    }


def test_the_video_can_be_made_again(
    clip: DemoClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = clip.draw()[: 2 * SCENE]
    monkeypatch.setattr(DemoClip, "draw", lambda _: few)
    write_demo_video(tmp_path / "made.mp4")
    made = [image.numpy() for image, _ in stream_video(tmp_path / "made.mp4", fps=None)]
    bundled = [image.numpy() for image, _ in stream_video(video_path(), fps=None)]
    assert len(made) == 2 * SCENE
    assert abs(np.stack(made).astype(int) - np.stack(bundled[: 2 * SCENE])).mean() < 8
