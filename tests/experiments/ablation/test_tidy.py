"""Tables of a study that was run."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pandas
import pytest

from crossframe.experiments.ablation.measures import KL
from crossframe.experiments.ablation.options import AblateOptions
from crossframe.experiments.ablation.settle import known_plan
from crossframe.experiments.ablation.tidy import Study, read_study
from crossframe.experiments.ablation.variants import variants
from crossframe.experiments.benchmarks import LVBench, OVOBench
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.publishing.small_benchmarks import write_lvbench, write_ovobench

from .conftest import MakeOptions

CELLS = ["full", "isolated", "all of it", "statekv 14", "statekv 28", "window 2", "window 4"]


def test_a_row_per_cell_and_question(study: Study, options: AblateOptions) -> None:
    table = pandas.read_parquet(options.output / "rows.parquet")
    assert len(table) == len(CELLS) * 4
    assert not table.duplicated(["model", "cell", "question"]).any()
    assert list(table["cell"].unique()) == CELLS
    row = table.set_index(["cell", "question"]).loc[("statekv 28", "001-last")]
    raw = {(r["cell"], r["question"]): r for r in read_rows(options.output / "tiny")}
    written = raw["statekv 28", "001-last"]
    for name in ("decoder_flops", "state_bytes", "kl_to_full", "status", "frames", "video"):
        assert row[name] == written[name]
    assert row["decoder_ms_per_frame"] == written["decoder_ms"] / 12
    settings = ("model", "memory", "family", "amount", "sized_by", "size", "reader", "in_frame")
    assert [row[name] for name in settings] == [
        *("tiny", "statekv", "statekv", 28, "capacity", 28, "all", "causal"),
    ]
    assert row["group_duration"] == "long"
    assert study.length == "group_duration"


def test_csv_says_the_same(study: Study, options: AblateOptions) -> None:
    for name, table in (("rows", study.rows), ("cells", study.cells)):
        read = pandas.read_csv(options.output / f"{name}.csv")
        assert list(read.columns) == list(table.columns)
        assert len(read) == len(table)


def test_a_line_per_cell(study: Study, options: AblateOptions) -> None:
    table = pandas.read_parquet(options.output / "cells.parquet").set_index("cell")
    assert list(table.index) == CELLS
    raw = [row for row in read_rows(options.output / "tiny") if row["cell"] == "window 2"]
    window = table.loc["window 2"]
    assert window["kl"] == pytest.approx(fmean(row["kl_to_full"] for row in raw))
    assert window["kl_low"] <= window["kl"] <= window["kl_high"]
    assert window["accuracy"] == 100 * fmean(row["correct"] for row in raw)
    assert window["decoder_flops"] == fmean(row["decoder_flops"] for row in raw)
    assert window["metric"] == "accuracy"
    assert window["difference_low"] <= window["difference"] <= window["difference_high"]
    assert pandas.isna(table.loc["full", "difference"])
    assert table.loc["full", "kl"] == 0
    # A capacity that holds the whole video is full attention.
    assert table.loc["all of it", "kl"] < 1e-6 < table.loc["statekv 14", "kl"]
    assert study.owed == 0


def test_means_by_video() -> None:
    rows = pandas.DataFrame({"kl_to_full": [1.0, 1.0, 4.0, None], "video": ["a", "a", "b", "c"]})
    assert KL.over(rows) == {"kl": 2.0, "kl_low": 1.0, "kl_high": 4.0}
    # One video says nothing about others.
    assert KL.over(rows[:2]) == {"kl": 1.0, "kl_low": None, "kl_high": None}
    assert KL.over(rows[3:]) == {"kl": None, "kl_low": None, "kl_high": None}


def test_delays_come_from_the_benchmarks(tmp_path: Path) -> None:
    write_lvbench(tmp_path / "lvbench")
    assert {q.evidence for q in LVBench(tmp_path / "lvbench").questions()} == {6.0}
    write_ovobench(tmp_path / "ovobench")
    told = {q.id: q.evidence for q in OVOBench(tmp_path / "ovobench").questions() if q.evidence}
    assert told == {"5_0": 4.0, "5_1": 4.0}


def test_a_study_without_rows_is_an_error(make_options: MakeOptions, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no rows of tiny"):
        read_study(make_options(tmp_path), {})


def test_rows_of_other_settings_are_refused(study: Study, options: AblateOptions) -> None:
    del study
    changed = replace(options, capacities=(14, 30))
    plan = known_plan(changed, "tiny", variants(changed))
    assert plan is not None
    with pytest.raises(ValueError, match=r"another configuration \(cells.statekv 28 was"):
        read_study(changed, {"tiny": plan})
