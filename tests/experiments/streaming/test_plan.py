"""Which questions share a pass, and which passes owe rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossframe.experiments.benchmarks.question import Question
from crossframe.experiments.evaluation.rows import Work, owing
from crossframe.experiments.streaming.plan import (
    Pass,
    Refused,
    Sampled,
    Stop,
    plan_passes,
    sample_videos,
)
from crossframe.experiments.streaming.sampling import FrameSampling

VIDEO, OTHER = Path("a.mp4"), Path("b.mp4")
FROM_START = FrameSampling(1.0, 512, "start")


def ask(name: str, path: Path | None = VIDEO, **more: Any) -> Question:
    return Question(name, "video", path, "?", "A", **more)


def seconds(path: Path) -> float:
    if path == OTHER:
        raise ValueError("b.mp4: cannot be opened")
    return 10.0


def planned(
    questions: list[Question], sampling: FrameSampling = FROM_START, share_prefixes: bool = True
) -> list[Pass]:
    sampled, refused = sample_videos(questions, sampling, seconds)
    assert not refused
    return plan_passes(sampled, share_prefixes=share_prefixes)


def stops(passes: list[Pass]) -> list[list[tuple[int, str]]]:
    return [[(stop.frames, stop.question.id) for stop in one.stops] for one in passes]


def test_frames_that_come_at_another_rate_do_not_share() -> None:
    # One frame in the middle of 1 s and of 3 s, at two rates: the model may be told them.
    one, other = ask("1", end=1.0), ask("2", end=3.0)
    sampling = FrameSampling(0.34, 512)
    alone = planned([one, other], sampling)
    assert [passing.fps for passing in alone] == [1.0, pytest.approx(1 / 3)]
    same = [Sampled(one, VIDEO, [0.5], 1.0), Sampled(other, VIDEO, [0.5, 1.5], 1.0)]
    assert stops(plan_passes(same)) == [[(1, "1"), (2, "2")]]
    apart = [Sampled(one, VIDEO, [0.5], 2.0), Sampled(other, VIDEO, [0.5, 1.5], 1.0)]
    assert stops(plan_passes(apart)) == [[(1, "1")], [(2, "2")]]


# Questions that cannot be asked


def test_missing_and_unreadable_videos_come_with_the_reason() -> None:
    questions = [ask("1", None), ask("2", OTHER), ask("3", start=50.0, end=60.0), ask("4")]
    sampled, refused = sample_videos(questions, FROM_START, seconds)
    assert [one.question.id for one in sampled] == ["4"]
    assert refused == [
        Refused(questions[0], "missing", "no file of video"),
        Refused(questions[1], "unreadable", "b.mp4: cannot be opened"),
        Refused(questions[2], "unreadable", "nothing to see from 50 s to 10 s of a video of 10 s"),
    ]


def test_every_video_is_looked_at_once() -> None:
    looked: list[Path] = []

    def look(path: Path) -> float:
        looked.append(path)
        return 10.0

    questions = [ask("1"), ask("2", OTHER), ask("3"), ask("4", OTHER)]
    sample_videos(questions, FROM_START, look)
    assert looked == [VIDEO, OTHER]


# Sharing


def test_questions_about_the_same_frames_share_a_pass() -> None:
    assert stops(planned([ask("1"), ask("2")], FrameSampling())) == [[(10, "1"), (10, "2")]]


def test_prefixes_share_a_pass_and_stop_in_time_order() -> None:
    passes = planned([ask("late", end=8.0), ask("early", end=3.0), ask("all")])
    assert stops(passes) == [[(3, "early"), (8, "late"), (10, "all")]]
    (one,) = passes
    assert (one.name, one.path, one.system) == ("all", VIDEO, None)
    assert one.times == [float(second) for second in range(10)]


def test_other_frames_need_their_own_pass() -> None:
    passes = planned([ask("1"), ask("2", end=5.0)], FrameSampling(1.0, 4))
    assert [one.name for one in passes] == ["1", "2"]


def test_another_file_or_system_turn_needs_another_pass() -> None:
    questions = [ask("1"), ask("2", system="Watch."), ask("3", Path("c.mp4")), ask("4", end=2.0)]
    passes = planned(questions)
    assert stops(passes) == [[(2, "4"), (10, "1")], [(10, "2")], [(10, "3")]]
    assert [one.system for one in passes] == [None, "Watch.", None]


def test_models_that_size_frames_by_their_number_share_only_equal_frames() -> None:
    passes = planned([ask("early", end=3.0), ask("all"), ask("again")], share_prefixes=False)
    assert stops(passes) == [[(3, "early")], [(10, "all"), (10, "again")]]


spans = st.tuples(st.sampled_from([0.0, 2.0]), st.floats(2.5, 12.0), st.sampled_from([None, "S"]))


@given(st.lists(spans, min_size=1, max_size=12), st.booleans())
def test_every_question_stops_behind_exactly_its_own_frames(
    drawn: list[tuple[float, float, str | None]], share: bool
) -> None:
    questions = [
        ask(str(number), start=start, end=end, system=system)
        for number, (start, end, system) in enumerate(drawn)
    ]
    sampled, _ = sample_videos(questions, FROM_START, seconds)
    own = {one.question.id: one.times for one in sampled}
    found: list[str] = []
    for one in plan_passes(sampled, share_prefixes=share):
        assert one.times == own[one.name]
        assert [stop.frames for stop in one.stops] == sorted(stop.frames for stop in one.stops)
        for stop in one.stops:
            found.append(stop.question.id)
            assert list(one.times[: stop.frames]) == own[stop.question.id]
            assert stop.question.system == one.system
    assert sorted(found) == sorted(own)


def test_as_few_passes_as_there_are_streams_of_which_none_is_anothers_beginning() -> None:
    ends = [3.0, 7.0, 5.0, 7.0, 1.0]
    assert len(planned([ask(str(n), end=end) for n, end in enumerate(ends)])) == 1


# What is left


def test_passes_owe_the_rows_that_are_not_there() -> None:
    first, second = (Pass(name, VIDEO, [0.0], [Stop(1, ask(name))]) for name in "12")
    done = {("full", "1"), ("window", "1"), ("full", "2")}
    work = owing([first, second], ["full", "window"], done)
    assert work == [Work(second, frozenset({("window", "2")}))]
