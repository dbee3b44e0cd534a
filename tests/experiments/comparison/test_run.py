"""Every memory x reader x archive on the same frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from rich.console import Console

from crossframe.experiments.command.cli import main
from crossframe.experiments.comparison.result import Comparison
from crossframe.experiments.comparison.run import Choices, compare
from crossframe.experiments.comparison.table import grid, headed_cells
from crossframe.experiments.streaming.frames import VideoFrames
from crossframe.experiments.streaming.options import StreamOptions
from crossframe.framework import Int8Archive, PlainArchive, VideoModel, VideoSession
from crossframe.framework.video import stream_video
from crossframe.methods import (
    FullMemory,
    ReadAll,
    ReadCarried,
    ReKVReader,
    SimpleStream,
    StateKVMemory,
)
from crossframe.models import Qwen3VL, load_model
from crossframe.models.tiny import tiny_qwen3_vl

QUESTION = "What moves?"
STREAM = StreamOptions(max_new_tokens=4)
MEMORIES = {"full": FullMemory(), "statekv": StateKVMemory(16)}
READERS = {"all": ReadAll(), "carried": ReadCarried(), "rekv": ReKVReader(blocks=2)}
Stream = TypeVar("Stream", VideoSession, SimpleStream)
ARCHIVES = {"plain": PlainArchive(), "int8": Int8Archive()}


def compared(
    model: VideoModel, video: Path, choices: Choices, stream: StreamOptions = STREAM
) -> Comparison:
    frames, quiet = VideoFrames(video, stream), Console(quiet=True)
    return compare(model, choices, frames, QUESTION, stream=stream, console=quiet)


def passed(alone: Stream, video: Path) -> Stream:
    """The stream after the video, which comes frame by frame."""
    for image, seconds in stream_video(video):
        alone.push(image, seconds)
    return alone


@pytest.fixture(scope="module")
def done(video: Path, checkpoint: Path) -> Comparison:
    choices = Choices(MEMORIES, READERS, ARCHIVES, last_frames=2)
    return compared(load_model(checkpoint), video, choices)


def _names(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["memory"], row["archive"], row["reader"]


def test_every_combination_has_a_row_and_the_baseline_comes_last(done: Comparison) -> None:
    *rows, last = done.rows()
    assert [_names(row) for row in rows] == list(product(MEMORIES, ARCHIVES, READERS))
    assert _names(last) == ("SimpleStream(frames=2)", "none", "prefills anew")


def test_every_combination_answers_as_a_session_of_its_own(
    done: Comparison, video: Path, checkpoint: Path
) -> None:
    model = load_model(checkpoint)
    for row in done.rows()[:-1]:
        memory, archive, reader = _names(row)
        choice = {"archive": ARCHIVES[archive], "reader": READERS[reader]}
        alone = passed(VideoSession(model, MEMORIES[memory], **choice), video)
        assert row["answer"] == alone.ask(QUESTION, max_new_tokens=4).text
        assert row["archive_bytes"] == alone.archive.bytes_held
        assert row["decoder_flops"] == sum(cost.flops for cost in alone.costs)


def test_steps_are_cut_as_a_session_cuts_them(make_video: Callable[..., Path]) -> None:
    path, stream = make_video("odd.mp4", 5), StreamOptions(max_new_tokens=2, frames_per_step=3)
    model = Qwen3VL(*tiny_qwen3_vl(), planned_frames=6)
    done = compared(model, path, Choices(MEMORIES), stream)
    # Two pairs wait for a third; the last frame, of a pair only begun, passes alone.
    assert [cost.images for cost in done.reference.session.costs] == [0, 4, 1]
    images, times = zip(*stream_video(path), strict=True)
    for run in done.runs:
        alone = stream.session(model, MEMORIES[run.memory])
        alone.push(list(images), list(times))
        expected = alone.ask(QUESTION, max_new_tokens=2).first_logits
        assert torch.equal(run.answer.first_logits, expected)


def test_the_baseline_answers_from_its_last_frames(
    done: Comparison, video: Path, checkpoint: Path
) -> None:
    alone = passed(SimpleStream(load_model(checkpoint), frames=2), video)
    answer = alone.ask(QUESTION, max_new_tokens=4)
    row = done.rows()[-1]
    assert row["answer"] == answer.text
    assert row["decoder_flops"] == sum(cost.flops for cost in alone.costs)
    assert row["state_bytes"] == alone.state_bytes


def test_the_baseline_may_take_its_frames_as_images(video: Path) -> None:
    model = Qwen3VL(*tiny_qwen3_vl())
    choices = Choices(MEMORIES, last_frames=3, last_as_images=True)
    row = compared(model, video, choices).rows()[-1]
    assert row["memory"] == "SimpleStream(frames=3, as_images=True)"
    alone = passed(SimpleStream(model, 3, as_images=True), video)
    assert row["answer"] == alone.ask(QUESTION, max_new_tokens=4).text
    assert row["tokens"] == sum(cost.tokens for cost in alone.costs)


def test_full_attention_reading_all_is_the_reference_itself(done: Comparison) -> None:
    first = done.rows()[0]
    assert (first["agreement"], first["kl_to_full"], first["archive_error"]) == (1.0, 0.0, 0.0)


def test_steps_are_told_once_per_memory(done: Comparison) -> None:
    rows = done.step_rows()
    assert list(dict.fromkeys(row["memory"] for row in rows)) == list(MEMORIES)
    assert len(rows) == len(MEMORIES) * len(done.reference.session.costs)


def test_grid_has_a_line_per_memory_and_a_column_per_reader() -> None:
    rows = [
        {"memory": memory, "reader": reader, "kl_to_full": divergence}
        for (memory, reader), divergence in zip(
            product("ab", ["all", "carried"]), [0.0, 0.25, 1.0, 2.0], strict=True
        )
    ]
    assert grid(rows, ["all", "carried"]) == (
        ["memory", "reads all", "reads carried"],
        [["a", "0", "0.25"], ["b", "1", "2"]],
    )


def test_the_table_names_choices_only_where_they_differ(done: Comparison) -> None:
    heads, _ = headed_cells(done.rows())
    assert heads[:4] == ["memory", "reader", "stored as", "answer"]
    heads, _ = headed_cells([row for row in done.rows() if row["reader"] == "all"])
    assert heads[:3] == ["memory", "stored as", "answer"]


def test_command_prints_written_x_read(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--memories", "full", "statekv(16)", "--readers", "all", "last_frames(2)"]
    options += ["--archives", "plain", "int4(group=8)", "--simple-stream", "2"]
    options += ["--model", str(checkpoint), "--max-new-tokens", "2", "--report", str(tmp_path)]
    assert main(["compare", str(video), QUESTION, *options]) == 0
    told = capsys.readouterr().out
    assert "archive plain: written x read" in told
    assert "archive int4(group=8): written x read" in told
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert len(rows) == 2 * 2 * 2 + 1
    assert rows[-1]["archive_error"] is None  # there is no archive


def test_a_pair_that_cannot_be_is_left_out_and_said(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--memories", "isolated", "statekv(16)", "--readers", "all", "carried"]
    report = ["--report", str(tmp_path), "--model", str(checkpoint), "--max-new-tokens", "2"]
    assert main(["compare", str(video), QUESTION, *options, *report]) == 0
    said = "isolated, read by carried: not run, because isolated carries nothing that carried"
    told = " ".join(capsys.readouterr().out.split())
    assert said in told
    assert "isolated" in told.partition("written x read")[2].partition("not run")[0]
    result = json.loads((tmp_path / "rows.json").read_text())
    names = [(row["memory"], row["reader"]) for row in result["rows"]]
    assert names == [("isolated", "all"), ("statekv(16)", "all"), ("statekv(16)", "carried")]
    assert said in result["left_out"][0]
    assert said in (tmp_path / "report.html").read_text()


def test_an_archive_that_keeps_nothing_is_read_only_by_who_can(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--memories", "statekv(16)", "--readers", "all", "carried"]
    options += ["--archives", "none", "plain", "--max-new-tokens", "2"]
    report = ["--report", str(tmp_path), "--model", str(checkpoint)]
    assert main(["compare", str(video), QUESTION, *options, *report]) == 0
    said = "none, read by all: not run, because none keeps nothing that all could read."
    assert said in " ".join(capsys.readouterr().out.split())
    result = json.loads((tmp_path / "rows.json").read_text())
    assert result["left_out"] == [said]
    names = [(row["archive"], row["reader"]) for row in result["rows"]]
    assert names == [("none", "carried"), ("plain", "all"), ("plain", "carried")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--readers", "all", "all"], "readers listed more than once: all"),
        (["--readers", "statekv"], "'statekv' is StateKVMemory(capacity=4096), not a Reader"),
        (["--archives", "all"], "not an Archive; known are plain, cpu, disk, int8, int4, none"),
        (["--archives", "none"], "NoArchive keeps nothing that ReadAll could read"),
        (["--readers", "last_frames(0)"], "frames must be an integer of at least 1"),
        (
            ["--memories", "isolated", "--readers", "carried"],
            "IsolatedFramesMemory() carries nothing, so ReadCarried() has nothing to read",
        ),
        (["--simple-stream", "0"], "frames must be an integer of at least 1"),
        (["--simple-stream-images"], "say of how many frames with --simple-stream"),
        (
            ["--simple-stream", "2", "--simple-stream-images"],
            "InternVL3 takes frames in one way only",
        ),
    ],
)
def test_wrong_choices_are_refused(
    video: Path,
    checkpoint: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = ["--model", str(checkpoint)]
    assert main(["compare", str(video), QUESTION, *model, *options]) == 2
    assert message in capsys.readouterr().err


def test_nan_inside_the_model_agrees_with_nothing(video: Path, checkpoint: Path) -> None:
    model = load_model(checkpoint)
    with torch.no_grad():
        model.decoder.layers[1].mlp.down_proj.weight[0, 0] = float("inf")
    rows = compared(model, video, Choices(MEMORIES)).rows()
    assert [row["finite"] for row in rows] == [False, False]
    assert all(isnan(row["agreement"]) and isnan(row["kl_to_full"]) for row in rows)
    heads, cells = headed_cells(rows)
    assert cells[1][heads.index("agreement")] == "NaN inside"


def test_archives_that_will_not_fit_together_are_refused_before_the_first_frame(
    video: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[object] = []
    monkeypatch.setattr(VideoSession, "push", lambda *given: passed.append(given))
    monkeypatch.setattr("crossframe.framework.archives.room.free_bytes", lambda place: 1000)
    with pytest.raises(ValueError, match=r"4 archive\(s\) of a stream of .* take fewer frames"):
        compared(load_model(checkpoint), video, Choices(MEMORIES, archives=ARCHIVES))
    assert not passed
