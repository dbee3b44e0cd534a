"""Clips in batches: the same answers as clip by clip, fair questions, ages of their evidence."""

from collections import Counter

import pytest
import torch

from crossframe.experiments.evidence.clips import (
    STAGES,
    ClipBatch,
    clip_batch,
    pass_clips,
    replies,
    told,
)
from crossframe.experiments.pretraining.families import Trainable, trainable
from crossframe.experiments.pretraining.options import FAMILIES
from crossframe.experiments.testbed.course import SynthCourse
from crossframe.experiments.testbed.tasks import TASKS
from crossframe.experiments.testbed.words import words
from crossframe.framework import FullMemory, VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

FRAMES, SEEDS = 24, (3, 4, 5)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Trainable:
    return trainable(request.param, words(), seed=0)


@pytest.fixture(scope="module")
def internvl3() -> Trainable:
    return trainable("internvl3", words(), seed=0)


def batch_of(model: Trainable, suite: str = "clips") -> ClipBatch:
    return clip_batch(model, suite, "search", SEEDS, FRAMES)


@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(24)])
def test_a_batch_answers_as_its_clips_do_one_by_one(
    model: Trainable, memory: FullMemory | StateKVMemory
) -> None:
    batch = batch_of(model)
    together = VideoSession(batch.model, memory)
    pass_clips(together, batch)
    tasks = tuple(name for name, task in TASKS.items() if task.stage == "scenes")
    course = SynthCourse(tasks=tasks, every=model.frames_per_patch, part=1, scene=1)
    alone = []
    for seed in SEEDS:
        alone.append(VideoSession(batch.model, memory))
        frames = torch.from_numpy(course.clip(seed, FRAMES).frames)
        alone[-1].push(frames, [float(second) for second in range(FRAMES)])
    asked = list(replies(together, batch))
    assert len(asked) > 15
    for ask, reply in asked:
        logits = alone[ask.row].question_logits(list(ask.ids))[0, -1]
        torch.testing.assert_close(reply.logits, logits, atol=1e-4, rtol=1e-4)
        own = -float(logits.log_softmax(-1)[ask.answer])
        assert reply.loss == pytest.approx(own, abs=1e-4)
        assert reply.right == (int(reply.logits.argmax()) == ask.answer)


@pytest.mark.parametrize("suite", STAGES)
def test_every_question_is_asked_once(internvl3: Trainable, suite: str) -> None:
    batch = batch_of(internvl3, suite)
    asks = [ask for round_ in batch.rounds for ask in round_]
    assert set(Counter((ask.row, ask.question.text) for ask in asks).values()) == {1}
    for round_ in batch.rounds:
        assert len({ask.row for ask in round_}) == len(round_), "one question a clip in a round"
        assert len({len(ask.ids) for ask in round_}) == 1
    per_task = Counter((ask.row, ask.question.task) for ask in asks)
    assert {TASKS[task].stage for _, task in per_task} == {STAGES[suite]}
    assert set(per_task.values()) == {1}


def test_questions_come_behind_the_last_frame_and_know_the_age_of_their_evidence(
    internvl3: Trainable,
) -> None:
    asks = [ask for round_ in batch_of(internvl3).rounds for ask in round_]
    assert {ask.question.frame for ask in asks} == {FRAMES - 1}
    for ask in asks:
        assert ask.age == FRAMES - 1 - max(ask.question.evidence)
        assert ask.question.task != "now" or ask.age == 0


def test_what_is_told_is_sorted_by_clip_and_task(internvl3: Trainable) -> None:
    batch = batch_of(internvl3)
    session = VideoSession(batch.model, FullMemory())
    pass_clips(session, batch)
    given = list(replies(session, batch))
    clips = told({"archive": given, "blind": given}, [reply for _, reply in given], len(SEEDS))
    for row, clip in enumerate(clips):
        for task, lists in clip.items():
            own = [
                (ask, reply) for ask, reply in given if (ask.row, ask.question.task) == (row, task)
            ]
            assert lists["age"] == [ask.age for ask, _ in own]
            assert lists["right_blind"] == [reply.right for _, reply in own]
            assert lists["loss_archive"] == [reply.loss for _, reply in own]
            assert lists["kl_archive"] == pytest.approx([0.0] * len(own), abs=1e-6)
    assert sum(len(lists["age"]) for clip in clips for lists in clip.values()) == len(given)


def test_a_model_without_whole_words_is_told_so(
    internvl3: Trainable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(internvl3), "reply_ids", lambda self, text: torch.tensor([[1, 2]]))
    with pytest.raises(ValueError, match=r"cuts the answer '\w+' into 2 tokens: clips are"):
        batch_of(internvl3)


def test_a_model_without_a_vision_side_is_told_so() -> None:
    with pytest.raises(ValueError, match="DecoderModel has no vision side"):
        clip_batch(DecoderModel(tiny_qwen2()), "clips", "search", (0,), 8)
