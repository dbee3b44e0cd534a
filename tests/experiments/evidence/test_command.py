"""`crossframe evidence` from its words to its page, on two memories and one stream."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from crossframe.experiments.command.arguments import options_from
from crossframe.experiments.command.cli import command_parser, main
from crossframe.experiments.command.config_files import with_presets
from crossframe.experiments.evidence.command import parts_owed
from crossframe.experiments.evidence.options import EvidenceOptions

MEMORIES = {
    "full": {"class_path": "crossframe.methods.FullMemory"},
    "statekv": {"class_path": "StateKVMemory", "init_args": {"capacity": 64}},
}


pytestmark = pytest.mark.usefixtures("loaded_once")


def config_file(folder: Path) -> Path:
    path = folder / "run.yaml"
    settings = {
        "cells": {name: {"memory": memory} for name, memory in MEMORIES.items()},
        "output": str(folder / "run"),
        "suites": ["scene"],
        "streams": 1,
        "tokens": 384,
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def settings(path: Path) -> EvidenceOptions:
    """As the command reads them."""
    parser = command_parser()
    chosen = parser.parse_args(["evidence", "--config", str(path)])
    return options_from(EvidenceOptions, parser.instantiate(chosen)["evidence"].as_dict())


def test_a_configuration_becomes_rows_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evidence", "--config", str(config_file(tmp_path))]
    assert main(words) == 0
    shown = capsys.readouterr()
    page = tmp_path / "run" / "report.html"
    assert f"Report: {page}" in shown.out
    assert "statekv" in shown.out
    assert "scene/search/384/0 to scene/search/384/0: statekv" in shown.err
    assert "<h2>The other suites, 64 slots</h2>" in page.read_text("utf-8")
    page.unlink()
    assert main(words) == 0, "nothing is owed, and the page is made again"
    assert "scene/search" not in capsys.readouterr().err
    assert page.is_file()
    assert parts_owed(settings(tmp_path / "run.yaml")) == 0
    assert parts_owed(replace(settings(tmp_path / "run.yaml"), streams=3, batch=2)) == 4
    assert main([*words, "--tokens", "416"]) == 2
    assert "tokens was 384, is 416" in capsys.readouterr().err


def test_what_is_owed_is_counted_by_cell_and_batch(tmp_path: Path) -> None:
    options = settings(config_file(tmp_path))
    for streams, batch, parts in ((1, 8, 2), (9, 8, 4), (6, 2, 6)):
        assert parts_owed(replace(options, streams=streams, batch=batch)) == parts


def test_presets_stand_for_the_files_that_come_along() -> None:
    words = ["evidence", "--preset", "quick", "--streams", "2"]
    name, config, path, *rest = with_presets(words)
    assert (name, config, rest) == ("evidence", "--config", ["--streams", "2"])
    assert Path(path).name == "evidence_quick.yaml"
    assert with_presets(["evidence", "--preset=quick"]) == ["evidence", "--config", path]
    assert with_presets(["ask", "video.mp4"]) == ["ask", "video.mp4"]


def test_the_quick_preset_holds_the_controls_and_enough_streams() -> None:
    parser = command_parser()
    chosen = parser.parse_args(with_presets(["evidence", "--preset", "quick"]))
    quick = chosen["evidence"]
    labels = list(dict.fromkeys(name.partition("/")[0] for name in quick.cells))
    assert labels[:6] == [
        *("full", "isolated", "recency", "random + 4 sinks", "sinks + recent", "statekv")
    ]
    assert (len(labels), len(quick.cells)) == (10, 12), "three seeds"
    assert 8 * 2 / 2**quick.streams < 0.05, "or no rule could differ"
    assert quick.half == "search", "the other half is looked at once"


def test_unknown_presets_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "--preset", "quack"]) == 2
    error = "no preset of evidence is called 'quack'; there are clips, judge, quick, "
    assert error in capsys.readouterr().err
    assert main(["ask", "--preset", "quick"]) == 2
    assert "no preset of ask is called 'quick'; there are none" in capsys.readouterr().err
