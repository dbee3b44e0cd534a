"""Which questions share a pass."""

from __future__ import annotations

from pathlib import Path

from crossframe.experiments.benchmarks.question import Question
from crossframe.experiments.evaluation.plan import plan_passes
from crossframe.experiments.evaluation.sampling import FrameSampling

VIDEO, OTHER = Path("a.mp4"), Path("b.mp4")
FROM_START = FrameSampling(1.0, 512, "start")


def _question(name: str, path: Path | None = VIDEO, **more: object) -> Question:
    return Question(name, "video", path, "?", "A", **more)  # pyright: ignore[reportArgumentType]


def _seconds(path: Path) -> float:
    if path == OTHER:
        raise ValueError("b.mp4: cannot be opened")
    return 10.0


def test_questions_about_the_same_frames_share_a_pass() -> None:
    plan = plan_passes([_question("1"), _question("2")], FrameSampling(), _seconds)
    assert [[stop.question.id for stop in one.stops] for one in plan.passes] == [["1", "2"]]
    assert plan.shared == 1


def test_prefixes_share_a_pass_and_stop_in_time_order() -> None:
    asked = [_question("late", end=8.0), _question("early", end=3.0), _question("all")]
    plan = plan_passes(asked, FROM_START, _seconds)
    (one,) = plan.passes
    assert [(stop.frames, stop.question.id) for stop in one.stops] == [
        (3, "early"),
        (8, "late"),
        (10, "all"),
    ]
    assert len(one.times) == 10


def test_other_frames_need_their_own_pass() -> None:
    sampling = FrameSampling(1.0, 4)
    plan = plan_passes([_question("1"), _question("2", end=5.0)], sampling, _seconds)
    assert len(plan.passes) == 2
    assert plan.shared == 0


def test_models_that_size_frames_by_their_number_share_only_equal_frames() -> None:
    asked = [_question("early", end=3.0), _question("all"), _question("again")]
    plan = plan_passes(asked, FROM_START, _seconds, share_prefixes=False)
    stops = [[stop.question.id for stop in one.stops] for one in plan.passes]
    assert stops == [["early"], ["all", "again"]]


def test_another_system_turn_needs_another_pass() -> None:
    plan = plan_passes([_question("1"), _question("2", system="Watch.")], FROM_START, _seconds)
    assert len(plan.passes) == 2


def test_missing_and_unreadable_videos_are_counted_with_the_reason() -> None:
    asked = [_question("1", None), _question("2", OTHER), _question("3", start=50.0, end=60.0)]
    plan = plan_passes(asked, FROM_START, _seconds)
    assert not plan.passes
    assert [question.id for question in plan.missing] == ["1"]
    assert [(question.id, why) for question, why in plan.unreadable] == [
        ("2", "b.mp4: cannot be opened"),
        ("3", "nothing to see from 50 s to 10 s of a video of 10 s"),
    ]
