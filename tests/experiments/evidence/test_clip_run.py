"""Suites of clips on a tiny video model: rows, going on after a stop, tables and the page."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.evaluation.rows import Row
from crossframe.experiments.evidence.clip_measures import answered, learnt, overall, tasks_in
from crossframe.experiments.evidence.clip_table import (
    ages_table,
    answers_tables,
    clip_sizes_tables,
)
from crossframe.experiments.evidence.options import EvidenceOptions
from crossframe.experiments.evidence.page import read_results, write_page
from crossframe.experiments.evidence.results import Results
from crossframe.experiments.evidence.run import run_evidence
from crossframe.experiments.pretraining.families import trainable
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.testbed.words import words
from crossframe.framework import VideoModel
from crossframe.methods import (
    FullMemory,
    IsolatedFramesMemory,
    RecencyMemory,
    SinksAndRecentMemory,
    StateKVMemory,
)
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

CELLS = {
    "full": Cell(FullMemory()),
    "unbounded": Cell(StateKVMemory(None)),
    "isolated": Cell(IsolatedFramesMemory()),
    "statekv/16": Cell(StateKVMemory(16)),
    "sinks + recent/16": Cell(SinksAndRecentMemory(16)),
    "statekv/48": Cell(StateKVMemory(48)),
    "recency/48": Cell(RecencyMemory(48)),
}


@pytest.fixture(scope="module", autouse=True)
def loaded() -> Iterator[VideoModel]:
    """One untrained video model for all runs of this module."""
    model = trainable("internvl3", words(), seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelOptions, "load", lambda self: model)
        yield model


def options(folder: Path, **changed: Any) -> EvidenceOptions:
    plain = EvidenceOptions(
        cells=CELLS,
        output=folder,
        model=ModelOptions("crossframe/tiny-internvl3"),
        suites=("clips", "exits"),
        streams=6,
        frames=16,
        batch=3,
    )
    return replace(plain, **changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips") / "run"


@pytest.fixture(scope="module")
def rows(folder: Path, loaded: VideoModel) -> list[Row]:
    return run_evidence(options(folder), say=lambda line: None)


def taught(rows: list[Row], folder: Path) -> Results:
    """As if full attention had learnt everything, and the others what they hold of it."""
    config = read_results(folder).config
    made = json.loads(json.dumps(rows))
    for row in made:
        for number, asked in enumerate(row["asked"].values()):
            for name in [name for name in asked if name.startswith("right_")]:
                known = row["cell"] in ("full", "unbounded") and name != "right_blind"
                asked[name] = [known or (number + age) % 3 == 0 for age in asked["age"]]
    return Results(made, config)


def test_every_cell_has_a_row_for_every_clip(rows: list[Row]) -> None:
    keys = {(row["cell"], row["question"]) for row in rows}
    assert len(keys) == len(rows) == len(CELLS) * 2 * 6
    assert {row["question"] for row in rows if row["suite"] == "exits"} == {
        f"exits/search/16/{seed}" for seed in range(6)
    }


def test_an_unbounded_memory_answers_as_full_attention_does(rows: list[Row]) -> None:
    by_key = {(row["cell"], row["question"]): row["asked"] for row in rows}
    for (cell, question), asked in by_key.items():
        full = by_key["full", question]
        for task, lists in asked.items():
            if cell in ("full", "unbounded"):
                assert lists["right_archive"] == full[task]["right_archive"]
                assert max(lists["kl_archive"]) < 1e-6
                assert lists["right_carried"] == lists["right_archive"]
            if cell == "full":
                assert len(lists["right_blind"]) == len(lists["age"])
            else:
                assert "right_blind" not in lists
            assert ("right_carried" in lists) == (cell != "isolated")


def test_a_run_goes_on_where_it_stopped(rows: list[Row], folder: Path) -> None:
    path = folder / "rows-0.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-4]), "utf-8")
    said: list[str] = []
    again = run_evidence(options(folder), say=said.append)
    assert len(said) == 2, "two cells of the last batch owed rows"
    plain = [sorted(json.dumps({**row, "decoder_ms": 0}) for row in some) for some in (rows, again)]
    assert plain[0] == plain[1]


def test_tables_tell_what_was_answered_and_what_is_left_out(rows: list[Row], folder: Path) -> None:
    untaught = read_results(folder)
    assert learnt(untaught) == (), "an untrained model has learnt nothing"
    assert "left" in tasks_in(untaught)
    results = taught(rows, folder)
    for row in results.rows:
        row["asked"].get("tally", {})["right_archive"] = [False]
    assert learnt(results) == tuple(task for task in tasks_in(results) if task != "tally")
    archive, carried = answers_tables(results, 16)
    assert archive.heads[:3] == ["memory", "mean", "now"]
    lines = {line[0]: line[1:] for line in archive.lines}
    assert [*lines] == ["full", "isolated", "statekv", "sinks + recent", "blind"]
    assert set(lines["full"]) == {"1.00"}
    assert float(lines["blind"][0]) < 0.9
    assert "tally" not in archive.heads and "left" in archive.heads
    assert "full attention under 90%): tally (0%)." in archive.caption
    assert "6 clips, 6 exits" in archive.caption
    assert "isolated" in {line[0] for line in carried.lines if not any(line[1:])}, "carries nothing"


def test_a_share_is_the_mean_of_its_clips(rows: list[Row], folder: Path) -> None:
    results = taught(rows, folder)
    measure, whole = answered("needle", "archive"), overall(learnt(results), "archive")
    line = next(line for line in results.lines if line.label == "sinks + recent")
    own = [row for row in results.rows if row["cell"] == "sinks + recent/16"]
    shares = []
    for row in own:
        rights = row["asked"].get("needle", {}).get("right_archive")
        if row["suite"] == "clips" and rights:
            shares.append(sum(rights) / len(rights))
    assert results.values(line, measure).mean() == pytest.approx(sum(shares) / len(shares))
    assert 0 < results.values(line, whole).mean() < 1


def test_ages_and_sizes_have_tables(rows: list[Row], folder: Path) -> None:
    results = taught(rows, folder)
    table = ages_table(results, "needle", 16)
    ages = [row["asked"]["needle"]["age"] for row in rows if "needle" in row["asked"]]
    young = sum(1 <= age[0] <= 4 for age in ages) // len(CELLS)
    assert table.heads[:2] == ["memory", f"1–4 ({young})"]
    archive, _ = clip_sizes_tables([results])
    assert archive.heads == ["memory", "16 slots, 16 frames", "48 slots, 16 frames"]
    assert {line[0] for line in archive.lines} >= {"full", "statekv", "recency"}
    assert "16 frames: 6 clips; now, needle," in archive.caption


def test_scenes_are_told_where_they_last(rows: list[Row], folder: Path) -> None:
    results = read_results(folder)
    assert results.length == "16 frames"
    lasting = Results(results.rows, {**results.config, "scene": [1, 4]})
    assert lasting.length == "16 frames in scenes of 1–4"


def test_the_page_shows_tables_and_figures(rows: list[Row], folder: Path, tmp_path: Path) -> None:
    page = write_page(taught(rows, folder), tmp_path).read_text("utf-8")
    assert "procedural videos and one tiny model" in page
    assert "Answered right from the whole archive, 16 slots" in page
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert drawn >= {"right-by-bytes", "right-by-age-16", "by-suite-16"}
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert summary["sizes"]["16"]["full"]["overall_archive"] == 1.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"suites": ("clips", "prose")}, r"all of texts or all of clips, got \['clips', 'prose'\]"),
        ({"frames": 0}, "evidence: frames must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        options(tmp_path, **changed)


def test_a_text_decoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelOptions, "load", lambda self: DecoderModel(tiny_qwen2()))
    with pytest.raises(ValueError, match="has no vision side and the suites clips are videos"):
        run_evidence(options(tmp_path, suites=("clips",)))
