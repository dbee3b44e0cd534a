"""What a step trains on: where each target stands, whom it follows, how lengths and gaps grow."""

from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.pretraining.batches import (
    Batches,
    random_gaps,
    step_generator,
    video_frames,
)
from crossframe.experiments.pretraining.families import Trainable, trainable
from crossframe.experiments.pretraining.options import FAMILIES, PretrainOptions
from crossframe.experiments.testbed import SynthCourse

COURSE = SynthCourse(every=2, scene=(2, 3))


def options(**changed: Any) -> PretrainOptions:
    given: dict[str, Any] = {"family": "internvl3", "output": Path("nowhere"), "max_frames": 16}
    return PretrainOptions(**{**given, "frames_per_step": 32, "steps": 100, **changed})


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Trainable:
    return trainable(request.param, COURSE.words, seed=0)


def token(model: Trainable, token_id: int) -> str:
    return str(model.processor.tokenizer.convert_ids_to_tokens(token_id))


def test_answers_follow_the_assistants_turn_and_are_what_the_course_says(model: Trainable) -> None:
    batches = Batches(model, COURSE, options())
    batch = batches.batch(80)
    targets, ids = batch.targets, batch.packed.ids
    expected = sorted(
        question.answer
        for row in range(2)
        for question in COURSE.lesson(80 * 64 + row, 16).questions
    )
    asked = [part for task, part in targets.tasks.items() if task in COURSE.tasks]
    answers = torch.cat([targets.ids[part] for part in asked]).tolist()
    rows = torch.cat([targets.rows[part] for part in asked])
    columns = torch.cat([targets.columns[part] for part in asked])
    assert sorted(token(model, one) for one in answers) == expected
    assert {token(model, one) for one in ids[rows, columns].tolist()} == {"assistant"}
    assert ids[rows, columns + 1].tolist() == answers
    ends = targets.tasks["end of turn"]
    assert {token(model, one) for one in targets.ids[ends].tolist()} == {"<|im_end|>"}
    assert sorted(ids[targets.rows[ends], targets.columns[ends]].tolist()) == sorted(answers)


def test_running_targets_stand_behind_the_frames_they_tell_of(model: Trainable) -> None:
    batches = Batches(model, COURSE, options())
    batch = batches.batch(80)
    targets, packed, per = batch.targets, batch.packed, model.frames_per_patch
    lessons = [COURSE.lesson(80 * 64 + row, 16) for row in range(2)]
    for task, later in (("colour", 0), ("shape", 1), ("recall", 2)):
        part = targets.tasks[f"running {task}"]
        found = zip(targets.rows[part], targets.columns[part], targets.ids[part], strict=True)
        told = [(int(row), int(column), int(said)) for row, column, said in found]
        assert told
        for row, column, said in told:
            patch = int(packed.visual[row, : column + 1].sum()) // 4 - 1
            assert packed.visual[row, column - 1 - later]
            assert not packed.visual[row, column - later : column + 1].any()
            word = int(lessons[row].running[task][patch * per + per - 1])
            assert token(model, said) == COURSE.words[word]


def test_captions_are_said_behind_their_frames_and_weigh_as_an_answer(model: Trainable) -> None:
    plain = Batches(model, COURSE, options()).batch(80)
    batch = Batches(model, COURSE, options(captions=3)).batch(80)
    targets, packed, per = batch.targets, batch.packed, model.frames_per_patch
    part = targets.tasks["caption"]
    said = [token(model, one) for one in targets.ids[part].tolist()]
    sentences = [" ".join(said[start : start + 4]) for start in range(0, len(said), 4)]
    lessons = [COURSE.lesson(80 * 64 + row, 16) for row in range(2)]
    assert len(sentences) == sum(min(3, len(lesson.captions)) for lesson in lessons) > 3
    rows, columns = targets.rows[part][::4], targets.columns[part][::4]
    for row, column, sentence in zip(rows.tolist(), columns.tolist(), sentences, strict=True):
        seen = int(packed.seen[row, column])
        known = [(frame // per, text) for frame, text in lessons[row].captions]
        assert (seen, sentence) in known
        assert token(model, int(packed.ids[row, column])) == "assistant"
    words = float(targets.weights[part][:4].sum())
    assert words == pytest.approx(float(targets.weights[targets.tasks["now"]][0]))
    assert "caption" not in plain.targets.tasks
    for task in plain.targets.tasks.keys() - {"end of turn"}:
        again, before = targets.tasks[task], plain.targets.tasks[task]
        assert torch.equal(targets.ids[again], plain.targets.ids[before])
        assert torch.equal(targets.columns[again], plain.targets.columns[before])


def test_weights_add_up_and_stand_as_stated(model: Trainable) -> None:
    targets = Batches(model, COURSE, options()).batch(80).targets
    assert targets.weights.sum().item() == pytest.approx(1)
    weight = {task: float(targets.weights[part][0]) for task, part in targets.tasks.items()}
    answer = weight["now"]
    assert weight["running recall"] == pytest.approx(answer)
    assert weight["running colour"] == pytest.approx(answer / 2)
    assert weight["end of turn"] == pytest.approx(answer / 10)


def test_the_kind_questions_tells_nothing_inside_the_stream(model: Trainable) -> None:
    batch = Batches(model, COURSE, options(kind="questions")).batch(80)
    assert not [task for task in batch.targets.tasks if task.startswith("running")]
    assert (batch.packed.segment[batch.targets.rows, batch.targets.columns] > 0).all()


def test_a_step_is_the_same_whenever_it_is_made(model: Trainable) -> None:
    one, other = (Batches(model, COURSE, options()) for _ in range(2))
    one.batch(3)
    first, again = one.batch(7), other.batch(7)
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.packed.positions, again.packed.positions)
    assert torch.equal(first.targets.ids, again.targets.ids)
    assert not torch.equal(first.frames, one.batch(8).frames)


def test_perfect_logits_have_full_accuracy_and_no_loss(model: Trainable) -> None:
    targets = Batches(model, COURSE, options()).batch(80).targets
    logits = torch.nn.functional.one_hot(targets.ids, model.spec.vocab).float() * 100
    assert set(targets.accuracy(logits).values()) == {1.0}
    assert targets.loss(logits).item() == pytest.approx(0)
    assert targets.loss(-logits).item() == pytest.approx(100, rel=0.1)


def test_videos_grow() -> None:
    lengths = [video_frames(options(max_frames=32), step) for step in (0, 14, 15, 35, 50, 99)]
    assert lengths == [6, 6, 12, 24, 32, 32]
    assert [video_frames(options(growing=False), step) for step in (0, 99)] == [16, 16]


def test_gaps_are_in_every_other_video_and_bounded() -> None:
    gaps = random_gaps(2000, 8, 3072, step_generator(0, 1))
    total = gaps.sum(1)
    assert gaps.min() >= 0
    assert total.max() <= 3072
    assert 0.45 < (total > 8).float().mean() < 0.55
    assert total.float().mean() == pytest.approx(3072 / 4, rel=0.1)
    assert random_gaps(50, 8, 0, step_generator(0, 1)).abs().max() == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"family": "llava"}, r"pretrain: family must be one of .*, got 'llava'"),
        ({"kind": "both"}, r"pretrain: kind must be one of .*, got 'both'"),
        ({"max_frames": 7}, r"max_frames must be even, got 7: a temporal patch"),
        ({"frames_per_step": 8}, r"frames_per_step=8 are less than one video of max_frames=16"),
        ({"seed": 1000}, r"seed must be 0 to 999, got 1000"),
        ({"steps": 0}, r"steps.*0"),
    ],
)
def test_impossible_options_are_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        options(**changed)
