"""Scores: what is asked when, what counts as right, blindness, and the card made of them."""

from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.pretraining.card import (
    begun,
    command_line,
    limits,
    score_table,
    write_card,
)
from crossframe.experiments.pretraining.families import Trainable, trainable
from crossframe.experiments.pretraining.options import FAMILIES, LessonOptions, PretrainOptions
from crossframe.experiments.pretraining.scores import accuracies, chances, replies, said
from crossframe.experiments.pretraining.scoring import Scores, score
from crossframe.experiments.testbed import SynthCourse
from crossframe.framework import CrossFrameMemory, FullMemory, Slots, VideoSession

COURSE = SynthCourse(every=2, part=2, questions=4)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Trainable:
    return trainable(request.param, COURSE.words, seed=0)


def test_every_question_is_asked_behind_its_last_frame(model: Trainable) -> None:
    given = list(replies(model, COURSE, seeds=[4, 5], frames=8))
    lessons = {seed: COURSE.lesson(seed, 8) for seed in (4, 5)}
    assert [one.question for one in given] == [
        question for lesson in lessons.values() for question in lesson.questions
    ]
    for reply in given:
        session = VideoSession(model, FullMemory())
        session.push(lessons[reply.seed].frames[: reply.question.frame + 1])
        assert reply.said == said(session, reply.question.text)
        assert reply.said == session.ask(reply.question.text, max_new_tokens=1).text


def test_blind_replies_see_no_frame(model: Trainable) -> None:
    given = list(replies(model, COURSE, seeds=range(6), frames=8, blind=True))
    by_text: dict[str, set[str]] = {}
    for reply in given:
        by_text.setdefault(reply.question.text, set()).add(reply.said)
    assert len(given) > len(by_text)
    assert all(len(words) == 1 for words in by_text.values())


class Refusing(CrossFrameMemory):
    """Tells that it was used."""

    def update(self, slots: Slots) -> Slots:
        raise RuntimeError(f"updated with {slots.num_new} new slots")


def test_the_memory_is_the_one_given(model: Trainable) -> None:
    with pytest.raises(RuntimeError, match="updated with"):
        next(replies(model, COURSE, seeds=[0], frames=8, memory=Refusing()))


def test_accuracy_is_of_each_task(model: Trainable) -> None:
    given = list(replies(model, COURSE, seeds=range(6), frames=8))
    for task, share in accuracies(given).items():
        right = [one.said == one.question.answer for one in given if one.question.task == task]
        assert share == sum(right) / len(right)
    assert all(0 < chance <= 0.5 for chance in chances(given).values())


def made_up(**changed: Any) -> Scores:
    facts: dict[str, Any] = {
        "course": "SynthCourse(part=2)",
        "seeds": [0, 1],
        "trained_frames": 8,
        "by_frames": {4: {"now": 1.0}, 8: {"now": 0.99, "order": 0.55}, 16: {"now": 0.5}},
        "blind": {"now": 0.12, "order": 0.5},
        "chance": {"now": 0.25, "order": 0.5},
        "asked": {"now": 9, "order": 4},
        "example": "what colour is it ?",
    }
    return Scores(**{**facts, **changed})


def test_the_table_has_every_length_blind_and_chance() -> None:
    assert score_table(made_up()).splitlines() == [
        "| task | 4 frames | 8 frames | 16 frames | blind | chance |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| now (9) | 100 | 99 | 50 | 12 | 25 |",
        "| order (4) |  | 55 |  | 50 | 50 |",
    ]


def test_limits_name_what_is_not_learnt_and_what_is_lost() -> None:
    assert limits(made_up()) == [
        "Not learnt well, below 90% with full attention: order (55 %).",
        "At 16 frames, longer than trained, it loses: now.",
    ]
    assert limits(made_up(by_frames={8: {"now": 0.99, "order": 0.95}})) == []


def test_the_card_is_made_of_the_scores(tmp_path: Path) -> None:
    options = PretrainOptions(family="qwen3_vl", output=tmp_path / "mine", seed=3, steps=77)
    options.output.mkdir()
    facts = {
        "parameters": 654321,
        "made_by": "A tiny thing",
        "words": 56,
        "course": "SynthCourse(part=0)",
        "command": "crossframe pretrain",
        "machine": "some processor",
        "minutes": {"vision": 3.2, "decoder": 12.9},
    }
    text = write_card(made_up(), options, facts).read_text("utf-8")
    assert "654,321 parameters" in text
    assert score_table(made_up()) in text
    assert "- Not learnt well, below 90% with full attention: order (55 %)." in text
    assert "| steps | 77 |" in text
    assert "| course | `SynthCourse(part=0)` |" in text
    assert "Made by `crossframe pretrain` on some processor." in text
    assert (
        "left as they were. Training took 16 minutes of processor time (vision 3, decoder 13)."
        in text
    )
    assert "| vision |" not in text
    silent = write_card(made_up(), options, {**facts, "command": ""}).read_text("utf-8")
    assert "Made on some processor." in silent


def test_the_card_tells_what_the_model_began_with_and_no_path(tmp_path: Path) -> None:
    chosen = PretrainOptions(
        family="qwen3_vl",
        output=tmp_path,
        vision="crossframe/tiny-qwen3-vl",
        decoder=str(tmp_path / "before"),
    )
    assert begun(chosen) == (
        "Vision tower and projector are those of `crossframe/tiny-qwen3-vl`. The decoder went on "
        "from that of `before`."
    )
    command = command_line(chosen)
    assert "--vision crossframe/tiny-qwen3-vl --decoder before" in command
    assert str(tmp_path) not in command


def test_the_command_line_names_what_is_not_the_default(tmp_path: Path) -> None:
    options = PretrainOptions(family="qwen3_vl", output=tmp_path / "mine", steps=77, keep_every=3)
    assert command_line(options, LessonOptions()) == (
        "crossframe pretrain --family qwen3_vl --output mine --steps 77"
    )
    lessons = LessonOptions(tasks=("now", "needle"), scene=(1, 2))
    assert command_line(lessons) == "crossframe pretrain --tasks '[now,needle]' --scene '[1,2]'"


def test_all_lengths_are_scored(model: Trainable) -> None:
    told: list[str] = []
    scores = score(model, COURSE, seeds=range(2), trained_frames=8, say=told.append)
    assert list(scores.by_frames) == [2, 4, 8, 16, 32]
    assert told[-1] == "scoring lessons of 8 frames, blind"
    assert sum(scores.asked.values()) == sum(
        len(COURSE.lesson(seed, 8).questions) for seed in range(2)
    )
    assert set(scores.blind) == set(scores.chance) == set(scores.tasks)
