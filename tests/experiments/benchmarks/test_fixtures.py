"""The small benchmarks: real videos that show what their questions ask."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.experiments.benchmarks import BENCHMARKS, MLVU, OVOBench, StreamingBench
from crossframe.experiments.publishing.small_benchmarks import (
    COLOURS,
    FIXTURES,
    SECONDS,
    write_clip,
)
from crossframe.framework.video import probe_video, stream_video

Built = Callable[[str], Path]


def colour_at(path: Path, seconds: float) -> str:
    """The colour that the frame at a moment shows in its corner."""
    frames = stream_video(path, fps=None)
    frame = next(frame for frame, time in frames if time >= seconds - 1e-6)
    frames.close()
    corner = [int(value) for value in frame[-1, -1]]

    def distance(name: str) -> int:
        return sum(abs(is_ - should) for is_, should in zip(corner, COLOURS[name], strict=True))

    return min(COLOURS, key=distance)


def test_there_is_one_for_every_benchmark() -> None:
    assert list(FIXTURES) == list(BENCHMARKS)


def test_a_clip_shows_its_colours_for_its_seconds(tmp_path: Path) -> None:
    write_clip(tmp_path / "new/clip.mp4", ["Blue", "Red"], seconds=4)
    assert probe_video(tmp_path / "new/clip.mp4").duration == pytest.approx(4)
    assert [colour_at(tmp_path / "new/clip.mp4", at) for at in (0, 1.5, 2, 3.5)] == [
        "Blue", "Blue", "Red", "Red",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["videomme", "mlvu", "longvideobench", "lvbench", "egoschema"])
def test_answers_are_what_the_video_shows(name: str, built: Built) -> None:
    for question in BENCHMARKS[name](built(name)).questions():
        assert question.path is not None
        shown = colour_at(question.path, 0 if "first" in question.prompt else SECONDS - 0.3)
        assert f"{question.answer}. {shown}" in question.prompt or (
            f"({question.answer}) {shown}" in question.prompt
        )


@pytest.mark.parametrize("name", ["ovobench", "streamingbench"])
def test_answers_are_what_is_shown_now(name: str, built: Built) -> None:
    benchmark = BENCHMARKS[name](built(name))
    now = [question for question in benchmark.questions() if " now?" in question.prompt]
    assert len(now) >= 2
    for question in now:
        assert question.path is not None and question.end is not None
        shown = colour_at(question.path, question.end)
        assert f"{question.answer}. {shown}" in question.prompt


def test_the_original_layout_has_all_seven_tasks(built: Built) -> None:
    questions = MLVU(built("mlvu_original")).questions()
    assert len({question.groups["task"] for question in questions}) == 7
    assert all(question.path is not None for question in questions)


def test_every_kind_of_question_ends_inside_its_video(built: Built) -> None:
    assert {q.groups["task"] for q in OVOBench(built("ovobench")).questions()} == {
        "EPM", "ACR", "STU", "REC", "SSR", "CRR",
    }  # fmt: skip
    for benchmark in (OVOBench(built("ovobench")), StreamingBench(built("streamingbench"))):
        assert all(q.end is not None and 0 < q.end <= SECONDS for q in benchmark.questions())


@pytest.mark.parametrize("name", FIXTURES)
def test_writing_again_changes_no_question(name: str, tmp_path: Path) -> None:
    FIXTURES[name](tmp_path)
    before = BENCHMARKS[name](tmp_path).questions()
    FIXTURES[name](tmp_path)
    assert BENCHMARKS[name](tmp_path).questions() == before
