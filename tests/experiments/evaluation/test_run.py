"""Whole runs in this process: what is asked, resumed, refused and summed up."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from crossframe.experiments.benchmarks import OVOBench, VideoMME
from crossframe.experiments.evaluation import run
from crossframe.experiments.evaluation.folder import cell_hashes, config_hash
from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.evaluation.summary import print_summary
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.framework import VideoModel
from crossframe.methods import FullMemory

from .conftest import Folder, MakeOptions, held_by_another, untimed

CELLS = {"full": Cell(FullMemory())}


def ran(options: EvaluateOptions) -> dict[str, Any]:
    found = evaluate(options)
    assert found is not None
    assert found == json.loads((options.output / "summary.json").read_text())
    return found


def lines(folder: Path) -> list[str]:
    return (folder / "rows-0.jsonl").read_text().splitlines(keepends=True)


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: ModelOptions) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(ModelOptions, "load", load)


# What a run gives


def test_every_question_gets_a_row_per_cell_with_everything_in_it(options: MakeOptions) -> None:
    chosen = options(reference="full")
    found = ran(chosen)
    rows = read_rows(chosen.output)
    hashes = cell_hashes(json.loads((chosen.output / "config.json").read_text()))
    assert found["config"] == config_hash(chosen.identity)
    questions = {question.id: question for question in chosen.benchmark.questions()}
    assert len(lines(chosen.output)) == len(rows) == 2 * len(questions) == 18
    fields = {
        *("benchmark", "config", "commit", "environment", "cell", "question", "video", "groups"),
        *("answer", "pass", "status", "reply", "parsed", "correct", "agreement", "kl_to_full"),
        *(
            "frames",
            "flagged_frames",
            "tokens",
            "decoder_flops",
            "decoder_ms",
            "vision_ms",
            "ask_ms",
        ),
        *("reply_tokens", "state_bytes", "archive_bytes", "planned_tokens", "attention"),
    }
    for row in rows:
        assert row.keys() == fields
        question = questions[row["question"]]
        assert (row["video"], row["answer"]) == (question.video, question.answer)
        assert row["groups"] == question.groups
        assert row["parsed"] == chosen.benchmark.parse(question, row["reply"])
        assert row["correct"] == chosen.benchmark.correct(question, row["reply"])
        assert row["status"] == ("invalid" if row["parsed"] is None else "answered")
        assert min(row[name] for name in ("decoder_ms", "vision_ms", "ask_ms")) > 0
        assert row["config"] == hashes[row["cell"]]
        assert row["benchmark"] == "ovobench"
        assert row["environment"]["dtype"] == "float32"
        if row["cell"] == "full":
            assert (row["agreement"], row["kl_to_full"]) == (1.0, 0.0)
    # From the start, two frames a second: all questions about a video share its longest pass.
    assert (found["questions"], found["passes"], found["shared"]) == (9, 2, 7)
    assert (found["owed"], found["missing"], found["unreadable"]) == (0, [], {})
    assert found["cells"].keys() == {"full", "statekv"}


def test_a_finished_run_is_summed_up_without_loading_anything(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = options(cells=CELLS)
    found, before = ran(chosen), lines(chosen.output)
    monkeypatch.setattr(ModelOptions, "load", None)

    def opened(path: Path) -> float:
        raise AssertionError(f"{path} is opened")

    monkeypatch.setattr(run, "video_seconds", opened)
    assert ran(chosen) == found
    assert lines(chosen.output) == before


def test_only_the_first_questions_are_asked_on_request(options: MakeOptions) -> None:
    found = ran(options(cells=CELLS, limit=2))
    assert (found["questions"], found["cells"]["full"]["questions"]) == (2, 2)


def test_models_that_size_frames_by_their_number_share_less(options: MakeOptions) -> None:
    found = ran(options(family="qwen3_vl", cells=CELLS))
    # Only questions about the same moments of a video share.
    assert (found["questions"], found["passes"]) == (9, 6)
    fixed = replace(options().model, model=options(family="qwen3_vl").model.model)
    planned = replace(fixed, adapter={"planned_frames": 12})
    other = options(model=planned, cells=CELLS, output=options().output.with_name("planned"))
    assert ran(other)["passes"] == 2


# Resuming


# The last one keeps the question that needs all frames of the first pass, and lacks earlier ones.
@pytest.mark.parametrize("kept", [slice(0), slice(1), slice(4), slice(7), slice(8, 17)], ids=str)
def test_what_is_missing_is_asked_again_and_nothing_else(kept: slice, options: MakeOptions) -> None:
    chosen = options(reference="statekv")
    ran(chosen)
    whole, all_lines = untimed(chosen.output), lines(chosen.output)
    path = chosen.output / "rows-0.jsonl"
    # As a kill in the middle of a write leaves it.
    path.write_text("".join(all_lines[kept]) + all_lines[-1][:50])
    ran(chosen)
    assert untimed(chosen.output) == whole
    again = lines(chosen.output)
    assert again[: len(all_lines[kept])] == all_lines[kept]
    assert len(again) == len(all_lines)


def test_a_rubbish_line_is_told_and_nothing_is_touched(options: MakeOptions) -> None:
    chosen = options(cells=CELLS, limit=2)
    ran(chosen)
    path = chosen.output / "rows-0.jsonl"
    content = "".join([lines(chosen.output)[0], "rubbish\n", lines(chosen.output)[1][:40]])
    path.write_text(content)
    with pytest.raises(ValueError, match=r"rows-0.jsonl, line 2 is no result row .*delete that"):
        evaluate(chosen)
    assert path.read_text() == content


def test_other_settings_are_refused_before_anything_happens(
    options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = options(cells=CELLS)
    ran(chosen)
    before = lines(chosen.output)
    monkeypatch.setattr(ModelOptions, "load", None)
    with pytest.raises(ValueError, match=r"another configuration \(seed was 0, is 4"):
        evaluate(replace(chosen, seed=4))
    assert lines(chosen.output) == before


def test_what_works_on_rows_may_change(options: MakeOptions) -> None:
    chosen = options()
    ran(replace(chosen, cells_at_once=1))
    first = untimed(chosen.output)
    ran(replace(chosen, strict=True, retry=True, trainer={"accelerator": "cpu", "devices": 1}))
    assert untimed(chosen.output) == first


@pytest.mark.parametrize("reference", [None, "full"])
def test_cells_added_later_have_the_rows_they_would_have_had(
    reference: str | None, options: MakeOptions
) -> None:
    both = options(reference=reference, output=options().output.with_name("both"))
    ran(both)
    chosen = options(reference=reference)
    ran(replace(chosen, cells=CELLS))
    before = lines(chosen.output)
    found = ran(chosen)
    assert lines(chosen.output)[: len(before)] == before
    assert untimed(chosen.output) == untimed(both.output)
    assert found["owed"] == 0
    assert found["config"] == config_hash(both.identity)


# Videos that are not there


@pytest.fixture
def torn(built: Folder, tmp_path: Path) -> Path:
    """Video-MME's fixture without its first video."""
    root = tmp_path / "torn"
    shutil.copytree(built("videomme"), root)
    (root / "data/clip1.mp4").rename(tmp_path / "clip1.mp4")
    return root


@pytest.mark.usefixtures("unloadable")
@pytest.mark.parametrize("content", [None, b"not a video" * 99])
def test_strict_stops_before_the_model_is_loaded(
    content: bytes | None, options: MakeOptions, torn: Path
) -> None:
    if content:
        (torn / "data/clip1.mp4").write_bytes(content)
    why = "not a video that FFmpeg can read" if content else "no file of clip1"
    expected = rf"2 questions cannot be asked, first 000-first about video clip1: .*{why}.*; add"
    with pytest.raises(ValueError, match=expected):
        evaluate(options(benchmark=VideoMME(torn), strict=True))


def test_a_missing_video_is_counted_named_and_found_later(options: MakeOptions, torn: Path) -> None:
    chosen = options(benchmark=VideoMME(torn), reference="full")
    found = ran(chosen)
    assert found["missing"] == ["clip1"]
    assert found["cells"]["statekv"]["counts"]["missing"] == 2
    assert found["cells"]["statekv"]["questions"] == 4
    gone = [row for row in read_rows(chosen.output) if row["status"] == "missing"]
    assert {(row["video"], row["why"], row["correct"], row["reply"]) for row in gone} == {
        ("clip1", "no file of clip1", False, None)
    }
    before = lines(chosen.output)
    (torn.parent / "clip1.mp4").rename(torn / "data/clip1.mp4")
    assert ran(chosen) == found  # without being told nothing is looked for again
    (torn / "data/clip1.mp4").rename(torn.parent / "clip1.mp4")
    assert ran(replace(chosen, retry=True)) == found  # in vain
    assert lines(chosen.output) == before
    (torn.parent / "clip1.mp4").rename(torn / "data/clip1.mp4")
    assert ran(replace(chosen, retry=True))["missing"] == []
    assert ran(chosen)["missing"] == []
    whole = options(benchmark=VideoMME(torn), reference="full", output=torn / "whole")
    ran(whole)
    assert untimed(chosen.output) == untimed(whole.output)


def test_a_corrupt_video_is_a_counted_row_and_others_do_not_notice(
    options: MakeOptions, torn: Path, built: Folder
) -> None:
    content = (torn.parent / "clip1.mp4").read_bytes()
    (torn / "data/clip1.mp4").write_bytes(content[: len(content) // 2])
    chosen = options(benchmark=VideoMME(torn), cells=CELLS)
    found = ran(chosen)
    assert found["cells"]["full"]["counts"]["unreadable"] == 2
    assert "clip1.mp4: an mp4 without its index" in found["unreadable"]["clip1"]
    good = options(benchmark=VideoMME(built("videomme")), cells=CELLS, output=torn / "x")
    ran(good)
    kept = {"reply", "tokens", "frames", "correct", "archive_bytes"}
    mine, theirs = (
        [{name: row[name] for name in kept} for row in untimed(folder) if row["video"] == "clip2"]
        for folder in (chosen.output, good.output)
    )
    assert mine == theirs
    assert len(mine) == 2


def test_flagged_frames_are_counted_up_to_each_question_or_with_strict_refused(
    options: MakeOptions, torn: Path, flagged_video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(flagged_video, torn / "data/clip1.mp4")
    chosen = options(benchmark=VideoMME(torn), cells=CELLS, sampling=FrameSampling(1.0, 64))
    with pytest.raises(ValueError, match=r"clip1: .*FFmpeg flags a frame as damaged \(strict"):
        evaluate(replace(chosen, strict=True))
    found = ran(chosen)
    assert found["flagged"] == {"clip1": 1}
    counts = {row["video"]: row["flagged_frames"] for row in read_rows(chosen.output)}
    assert counts == {"clip1": 1, "clip2": 0}
    print_summary(found, chosen.output, Console(width=200))
    assert "Damaged: clip1: FFmpeg flags 1 of the decoded frames" in capsys.readouterr().out
    with pytest.raises(ValueError, match="1 videos that have rows already have damaged frames"):
        evaluate(replace(chosen, strict=True))


@pytest.mark.usefixtures("unloadable")
def test_without_any_video_nothing_is_loaded(options: MakeOptions, tmp_path: Path) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    source = options().benchmark.root / "ovo_bench_new.json"
    shutil.copy(source, root)
    found = ran(options(benchmark=OVOBench(root), cells=CELLS))
    assert found["passes"] == 0
    assert found["cells"]["full"]["counts"]["missing"] == 9
    assert found["cells"]["full"]["scores"]["average"] == 0.0


# Devices


@pytest.mark.parametrize(("adapter", "device"), [(None, "cpu"), ({"device_map": "auto"}, None)])
def test_the_trainer_hands_out_devices_unless_the_model_spreads_itself(
    adapter: dict[str, Any] | None,
    device: str | None,
    options: MakeOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str | None] = []
    load = ModelOptions.load

    def noted(self: ModelOptions) -> VideoModel:
        seen.append(self.device)
        return load(replace(self, adapter=None))

    monkeypatch.setattr(ModelOptions, "load", noted)
    ran(options(cells=CELLS, limit=1, model=replace(options().model, adapter=adapter)))
    assert seen == [device]


# Errors


def test_an_unfinished_run_says_so(options: MakeOptions) -> None:
    trainer = {"accelerator": "cpu", "limit_predict_batches": 1}
    found = ran(options(cells=CELLS, trainer=trainer))
    assert found["owed"] == 9 - found["cells"]["full"]["questions"] > 0


def test_an_error_of_the_settings_stops_the_run_and_keeps_its_rows(options: MakeOptions) -> None:
    chosen = options(cells=CELLS, max_tokens=20)
    with pytest.raises(ValueError, match="planned for 20"):
        evaluate(chosen)
    with pytest.raises(ValueError, match="planned for 20"):
        evaluate(chosen)  # the folder is not held any more


@pytest.mark.usefixtures("unloadable")
def test_two_runs_into_one_folder_are_refused(options: MakeOptions) -> None:
    chosen = options(cells=CELLS)
    chosen.output.mkdir()
    told = "another run is writing to"
    with held_by_another(chosen.output, 0, 1), pytest.raises(ValueError, match=told):
        evaluate(chosen)
