"""A study can be killed anywhere and goes on; what cannot be is refused before hours are spent."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.ablation import run, settle
from crossframe.experiments.ablation.options import AblateOptions, Budget
from crossframe.experiments.ablation.run import ablate
from crossframe.experiments.ablation.tidy import Study
from crossframe.experiments.benchmarks import VideoMME
from crossframe.experiments.publishing.small_benchmarks import write_videomme
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling

from .conftest import FRAME, MakeOptions

SMALL = 7  # tokens of a frame of the checkpoint: 4 visual ones and 3 markers


def rows(folder: Path) -> list[str]:
    return (folder / "rows-0.jsonl").read_text("utf-8").splitlines()


def test_a_killed_study_goes_on(
    make_options: MakeOptions, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelOptions(str(checkpoint), layout="video_first")
    options = make_options(tmp_path, models={"a": model, "b": model}, capacities=(14,))
    real: Callable[..., Any] = run.evaluate

    def killed(asked: Any, **more: Any) -> Any:
        if asked.output.name == "b":
            raise KeyboardInterrupt
        return real(asked, **more)

    monkeypatch.setattr(run, "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        ablate(options)
    before = rows(tmp_path / "a")
    assert len(before) == 8
    assert not (tmp_path / "ablation.html").exists()
    # The second kill leaves half a row behind.
    (tmp_path / "a/rows-0.jsonl").write_text("\n".join(before)[:-30], "utf-8")
    monkeypatch.undo()

    monkeypatch.setattr(settle, "_settled", None)  # sizes are not worked out again
    study = ablate(options)
    assert study is not None
    assert rows(tmp_path / "a")[:-1] == before[:-1]
    assert len(rows(tmp_path / "a")) == len(rows(tmp_path / "b")) == 8
    assert study.owed == 0
    assert list(study.cells["model"].unique()) == ["a", "b"]
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 4


def test_a_study_takes_more_amounts_later(
    make_options: MakeOptions, checkpoint: Path, tmp_path: Path
) -> None:
    models = {"a": ModelOptions(str(checkpoint), layout="video_first")}
    options = make_options(tmp_path, models=models, capacities=(14,))
    few = ablate(options)
    before = rows(tmp_path / "a")
    more = ablate(replace(options, capacities=(14, 28)))
    assert few is not None
    assert more is not None
    assert rows(tmp_path / "a")[: len(before)] == before
    added = set(more.cells["cell"]) - set(few.cells["cell"])
    assert added
    assert all("28" in name for name in added)
    assert more.owed == 0


def test_one_model_at_a_time_into_one_page(
    make_options: MakeOptions, checkpoint: Path, tmp_path: Path
) -> None:
    model = ModelOptions(str(checkpoint), layout="video_first")
    options = make_options(tmp_path, models={"a": model, "b": model}, capacities=(14,))
    first = ablate(replace(options, only="b"))
    assert first is not None
    assert list(first.runs) == ["b"]
    assert "1 of 2 models" in (tmp_path / "ablation.html").read_text("utf-8")
    both = ablate(replace(options, only="a"))
    assert both is not None
    assert list(both.runs) == ["a", "b"]


def test_budgets_are_worked_out_per_model(
    make_options: MakeOptions, checkpoint: Path, tmp_path: Path
) -> None:
    models = {
        "wide": ModelOptions(str(checkpoint), layout="video_first", dtype="float64"),
        "narrow": ModelOptions(str(checkpoint), layout="video_first"),
    }
    study = ablate(make_options(tmp_path, models=models, budget=Budget("bytes", (9000,))))
    assert study is not None
    sizes = study.cells.set_index(["model", "cell"])["size"]
    # Keys and values of 16 numbers and two heads; the columns do not depend on the dtype.
    assert sizes["wide", "statekv 9000"] == round(9000 / (2 * (2 * 16 * 8 + 8 + 8 + 1 + 8)))
    assert sizes["narrow", "statekv 9000"] == round(9000 / (2 * (2 * 16 * 4 + 8 + 8 + 1 + 8)))
    assert (study.cells["wanted"].dropna() == 9000).all()
    assert "equal bytes held per layer" in (tmp_path / "ablation.html").read_text("utf-8")


def test_the_page_names_videos_with_flagged_frames(
    make_options: MakeOptions, benchmark: VideoMME, flagged_video: Path, tmp_path: Path
) -> None:
    root = tmp_path / "videomme"
    shutil.copytree(benchmark.root, root)
    shutil.copy(flagged_video, root / "data/clip2.mp4")
    sampling = FrameSampling(1.0, 64)
    changes = {"benchmark": VideoMME(root), "sampling": sampling, "capacities": (14, 28)}
    study = ablate(make_options(tmp_path, **changes))
    assert study is not None
    assert set(study.rows["flagged_frames"]) == {0, 1}
    page = (tmp_path / "ablation.html").read_text("utf-8")
    assert "FFmpeg flags frames of 1 videos as damaged" in page
    assert "clip2 (1)" in page


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"look": {}, "sizes": {}}', "SIZES"])
def test_damaged_sizes_are_told(tmp_path: Path, content: str) -> None:
    sizes = '{"look": null, "sizes": {"statekv": {"value": "4", "attained": 1, "wanted": 1}}}'
    (tmp_path / "sizes.json").write_text(content.replace("SIZES", sizes))
    with pytest.raises(ValueError, match=r"sizes\.json .*: delete it to have the model looked at"):
        settle.read_settled(tmp_path)


def test_what_cannot_be_matched_is_refused_before_anything_is_evaluated(
    make_options: MakeOptions, tmp_path: Path
) -> None:
    options = make_options(tmp_path, budget=Budget("flops", (1e5,)))
    with pytest.raises(ValueError, match="statekv 100k cannot have 100k FLOP a frame"):
        ablate(options)
    assert not list(tmp_path.glob("*/rows-*.jsonl"))


def test_without_videos_there_is_no_budget_but_a_study(
    make_options: MakeOptions, tmp_path: Path
) -> None:
    write_videomme(tmp_path / "benchmark")
    for video in (tmp_path / "benchmark/data").iterdir():
        video.unlink()
    benchmark = VideoMME(tmp_path / "benchmark")
    with pytest.raises(ValueError, match="no video of the benchmark videomme can be read"):
        ablate(make_options(tmp_path / "a", benchmark=benchmark, budget=Budget("slots", (8,))))
    study = ablate(make_options(tmp_path / "b", benchmark=benchmark, capacities=(8,)))
    assert study is not None
    assert (study.cells["missing"] == 4).all()
    page = (tmp_path / "b/ablation.html").read_text("utf-8")
    assert "2 videos were missing or could not be read" in page
    assert "no question could be asked" in page


@pytest.mark.parametrize(
    ("settings", "launched"),
    [({"devices": 2}, "1"), ({"devices": "auto"}, "1"), ({"num_nodes": 2}, "1"), ({}, "4")],
)
def test_several_processes_take_one_model_at_a_time(
    make_options: MakeOptions,
    tmp_path: Path,
    settings: dict[str, Any],
    launched: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", launched)
    models = {"a": ModelOptions("x"), "b": ModelOptions("y")}
    several = ", ".join(f"{name}={value}" for name, value in settings.items()) or "WORLD_SIZE=4"
    told = rf"several processes \({several}\) take one model at a time: add --only NAME .* of a, b"
    with pytest.raises(ValueError, match=told):
        ablate(make_options(tmp_path, models=models, trainer=settings))


def test_the_look_tells_what_extrapolation_needs(study: Study, options: AblateOptions) -> None:
    del study
    look = json.loads((options.output / "tiny/sizes.json").read_text("utf-8"))["look"]
    assert (look["frame_tokens"], look["prompt_tokens"]) == (SMALL, 0)
    assert SMALL != FRAME
    assert look["spec"]["num_layers"] == 2
