"""The page of a run: every suite's tables and figures, and the same as data."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.experiments.evidence.page import read_results, write_page
from crossframe.experiments.evidence.results import Results

Make = Callable[..., Results]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, results: Make) -> Path:
    return write_page(results((64, 128), streams=10), tmp_path_factory.mktemp("run"))


def test_one_file_shows_every_size_and_loads_nothing(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    for heading in (
        "KL to full by size",
        "Closeness against bytes",
        "Prose, 64 slots",
        "Prose, 128 slots",
        "The other suites, 128 slots",
        "Cost, 64 slots",
        "Loss by age, 128 slots",
        "Difference to statekv by suite, 128 slots",
    ):
        assert f"<h2>{heading}</h2>" in text, heading
    assert "20 cells pass streams of 1,024 tokens (10 prose, 10 copy, 10 scene" in text
    assert "text and one small decoder, not video" in text
    assert "<dt>commit</dt><dd>c0ffee</dd>" in text


def test_intervals_stand_in_small_print_below_their_difference(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.search(r"[+-]\d\.\d{3} <br><small>[+-]\d\.\d{3} to [+-]\d\.\d{3}</small><br>", text)
    assert "&lt;" not in text.partition("<h2>Cells</h2>")[0]


def test_figures_lie_beside_the_page(page: Path) -> None:
    names = {path.name for path in (page.parent / "figures").iterdir()}
    figures = ("ranking", "by-age", "by-suite")
    assert names == {
        f"{name}.{kind}"
        for name in ("kl-by-bytes", *(f"{one}-{size}" for one in figures for size in (64, 128)))
        for kind in ("svg", "png")
    }


def test_the_summary_says_means_differences_and_verdicts(page: Path) -> None:
    summary = json.loads((page.parent / "summary.json").read_text("utf-8"))
    assert list(summary["sizes"]) == ["64", "128"]
    assert summary["streams"]["prose"] == 10
    h2o = summary["sizes"]["128"]["h2o"]
    assert h2o["cells"] == ["h2o/128"]
    assert h2o["prose_kl"] < summary["sizes"]["128"]["statekv"]["prose_kl"]
    assert set(h2o["against"]) == {"statekv", "sinks + recent", "random + 4 sinks"}
    found = h2o["against"]["statekv"]["prose_kl"]
    assert found["verdict"] == "better"
    assert found["low"] < found["mean"] < found["high"] < 0
    assert found["streams"] == 10
    random = summary["sizes"]["128"]["random + 4 sinks"]
    assert len(random["cells"]) == 3


def test_prose_alone_without_rivals_has_a_page_too(results: Make, tmp_path: Path) -> None:
    found = results(suites=("prose",), streams=2)
    kept = ("full", "isolated", "tova/128")
    config = {**found.config, "cells": {name: found.config["cells"][name] for name in kept}}
    few = Results([row for row in found.rows if row["cell"] in kept], config)
    text = write_page(few, tmp_path).read_text("utf-8")
    assert "<h2>Prose</h2>" in text
    body = text.partition("<h2>Cells</h2>")[0]
    assert "verdict" not in body, "there is nothing to compare with"
    assert [path.name for path in sorted((tmp_path / "figures").glob("*.svg"))] == ["ranking.svg"]


def test_folders_that_hold_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no config.json: give the folder of a run of"):
        read_results(tmp_path)
    config = {"cells": {}, "reference": "full", "tokens": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"config.json says nothing of half, model: give the fo"):
        read_results(tmp_path)
    config |= {"half": "search", "model": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="has no rows yet: run crossframe evidence first"):
        read_results(tmp_path)
