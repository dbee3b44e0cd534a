"""What the demo measures, against sessions and clips by hand."""

import torch

from crossframe.experiments.demo.clip import SCENES, TASKS, video_path
from crossframe.experiments.demo.further import Tally, further_answers
from crossframe.experiments.demo.run import Demo
from crossframe.experiments.demo.settings import (
    FRAMES_CARRIED,
    MEMORIES,
    PICTURED,
    STREAM,
    equal_budgets,
)
from crossframe.experiments.testbed import SynthCourse
from crossframe.experiments.testbed.asking import ask_at_end
from crossframe.experiments.testbed.chance import generator
from crossframe.experiments.testbed.tasks import TASKS as KINDS
from crossframe.framework import VideoModel, VideoSession
from crossframe.framework.video import stream_video
from crossframe.methods import FullMemory, IsolatedFramesMemory, StateKVMemory


def test_full_attention_answers_every_question(demo: Demo) -> None:
    rows = {row["memory"]: row for row in demo.rows()}
    assert list(rows) == list(MEMORIES)
    right = {question.task: question.answer for question in demo.clip.questions}
    assert rows["full"]["answers"] == right
    assert (rows["full"]["agreement"], rows["full"]["archive_error"]) == (1.0, 0.0)


def test_a_memory_answers_as_a_session_of_its_own(demo: Demo, model: VideoModel) -> None:
    alone = VideoSession(model.for_stream(SCENES, fps=STREAM.fps), _statekv(model))
    for image, seconds in stream_video(video_path(), fps=STREAM.fps):
        alone.push(image, seconds)
    row = next(row for row in demo.rows() if row["memory"] == "statekv")
    for question in demo.clip.questions:
        answer = alone.ask(question.text, max_new_tokens=STREAM.max_new_tokens)
        assert row["answers"][question.task] == answer.text.strip()
    assert row["decoder_flops"] == alone.costs.totals.flops
    assert row["state_bytes"] == alone.state_bytes


def test_budgets_are_equal(demo: Demo) -> None:
    rows = {row["memory"]: row for row in demo.rows()}
    held = {rows[name]["state_bytes"] for name in ("statekv", "window", "recency", "sinks")}
    assert len(held) == 1
    assert held.pop() < rows["full"]["state_bytes"] / 4


def test_further_clips_are_those_of_the_next_seeds(demo: Demo, model: VideoModel) -> None:
    assert demo.seeds == range(demo.clip.seed + 1, demo.clip.seed + 4)
    course = SynthCourse(part=2, scene=(1, 1))
    every = [task for task in KINDS.values() if task.stage == "scenes"]
    rights: dict[str, list[bool]] = {task: [] for task in TASKS}
    for seed in demo.seeds:
        clip = course.clip(seed, SCENES)
        session = VideoSession(model.for_stream(SCENES, fps=1.0), _statekv(model))
        session.push(torch.from_numpy(clip.frames), [float(second) for second in range(SCENES)])
        for task, question in ask_at_end(every, clip.truth, generator(2, seed, "questions")):
            if task.name in rights:
                text = session.ask(question.text, max_new_tokens=1).text
                rights[task.name].append(text.strip() == question.answer)
    expected = {task: Tally(sum(right), len(right)) for task, right in rights.items()}
    assert demo.further["statekv"]["archive"] == expected
    assert sum(tally.asked for tally in expected.values()) > 12


def test_what_carries_nothing_is_not_asked_about_it(model: VideoModel) -> None:
    both = {"isolated": IsolatedFramesMemory(), "full": FullMemory()}
    tallies = dict(further_answers(model, both, range(2)))
    assert list(tallies["isolated"]) == ["archive"]
    assert tallies["full"]["carried"] == tallies["full"]["archive"]


def test_held_patches_are_those_of_the_memories(demo: Demo) -> None:
    assert tuple(demo.held.patches) == PICTURED
    assert len(demo.held.pictures) == SCENES
    window = [bool(frame.share(SCENES - 1).any()) for frame in demo.held.patches["window"]]
    assert window == [number >= SCENES - FRAMES_CARRIED for number in range(SCENES)]
    statekv = [bool(frame.share(SCENES - 1).any()) for frame in demo.held.patches["statekv"]]
    assert any(statekv[: SCENES - FRAMES_CARRIED])


def _statekv(model: VideoModel) -> StateKVMemory:
    return StateKVMemory(equal_budgets(model).capacity)
