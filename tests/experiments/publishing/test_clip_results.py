"""Runs on clips in docs/: little is kept, and it says what the rows said."""

import json
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.evidence.clip_table import answers_tables, clip_sizes_tables
from crossframe.experiments.evidence.options import EvidenceOptions
from crossframe.experiments.evidence.page import read_results
from crossframe.experiments.evidence.run import run_evidence
from crossframe.experiments.publishing.clip_results import compact_clips, expanded_clips
from crossframe.experiments.publishing.clip_table import cells
from crossframe.experiments.publishing.evidence import PARTS, as_text, compact_result, results_of
from crossframe.experiments.streaming.options import ModelOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few memories on the trained model."""
    output = tmp_path_factory.mktemp("clips") / "run"
    some = ("full", "isolated", "last frame alone", "statekv/", "recency/", "random/")
    table = cells(stream_tokens=139, frame_tokens=8, shares=(0.1, 0.25))
    options = EvidenceOptions(
        cells={name: cell for name, cell in table.items() if name.startswith(some)},
        output=output,
        model=ModelOptions("crossframe/tiny-internvl3"),
        suites=("clips", "exits"),
        streams=8,
        frames=16,
    )
    run_evidence(options, say=lambda line: None)
    return output


def without_losses(asked: dict[str, dict[str, list[Any]]]) -> dict[str, Any]:
    """What is kept of a row's answers."""
    return {
        task: {name: told for name, told in lists.items() if name == "age" or "right" in name}
        for task, lists in asked.items()
    }


def test_rows_come_back_as_far_as_they_were_kept(folder: Path) -> None:
    rows = read_results(folder).rows
    back = list(expanded_clips(json.loads(json.dumps(compact_clips(rows)))))
    kept = {(row["cell"], row["question"]): without_losses(row["asked"]) for row in rows}
    assert {(row["cell"], row["question"]): row["asked"] for row in back} == kept
    assert {row["state_bytes"] for row in back} == {row["state_bytes"] for row in rows}


def test_a_published_run_shows_the_same_tables(folder: Path) -> None:
    run = read_results(folder)
    text = as_text(compact_result(folder))
    again = results_of(json.loads(text))
    assert len(text) < len((folder / "rows-0.jsonl").read_text("utf-8")) / 5
    for size in run.by_size():
        tables = [(table.lines, table.caption) for table in answers_tables(run, size)]
        assert tables == [(table.lines, table.caption) for table in answers_tables(again, size)]
    assert list(clip_sizes_tables([again])) == list(clip_sizes_tables([run]))


def test_a_page_shows_tasks_sizes_and_figures(folder: Path, tmp_path: Path) -> None:
    results = [json.loads(as_text(compact_result(folder)))]
    part = PARTS["testbed_internvl3"]
    text = part.text("testbed_internvl3", results, "figures")
    assert "Answered right from the whole archive, 35 slots" in text
    assert "By size, carried slots" in text and "16 frames" in text
    part.write_figures("testbed_internvl3", results, tmp_path / "figures")
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"testbed_internvl3-right-by-bytes.svg", "testbed_internvl3-by-suite-35.svg"} <= drawn


def test_a_trained_model_misses_what_a_bounded_memory_forgot(folder: Path) -> None:
    heads, *_ = (table for table in answers_tables(read_results(folder), 35))
    lines = {line[0]: dict(zip(heads.heads, line, strict=True)) for line in heads.lines}
    assert float(lines["full"]["needle"][:4]) > 0.9
    assert float(lines["last frame alone"]["needle"][:4]) < 0.6
    assert float(lines["last frame alone"]["now"][:4]) > 0.8
    assert float(lines["blind"]["needle"][:4]) < 0.6
