"""The suites on the pretrained decoder: rows, going on after a stop, and what they say."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from crossframe.experiments.evaluation.rows import Row
from crossframe.experiments.evidence.options import EvidenceOptions
from crossframe.experiments.evidence.run import run_evidence
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.methods import (
    FullMemory,
    RecencyMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

TOKENS = 384
CELLS = {
    "full": Cell(FullMemory()),
    "unbounded": Cell(StateKVMemory(None)),
    "statekv": Cell(StateKVMemory(64)),
    "recency": Cell(RecencyMemory(64)),
}
NEEDLES = {name: CELLS[name] for name in ("full", "statekv")}  # the others tell nothing more


pytestmark = pytest.mark.usefixtures("loaded_once")


def options(folder: Path, **changed: Any) -> EvidenceOptions:
    plain = EvidenceOptions(
        cells=CELLS,
        output=folder,
        suites=("prose",),
        streams=2,
        tokens=TOKENS,
        batch=2,
    )
    return replace(plain, **changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence") / "run"


@pytest.fixture(scope="module")
def rows(folder: Path, loaded_once: None) -> list[Row]:
    run_evidence(options(folder, cells=NEEDLES, suites=("needle",)), say=lambda line: None)
    return run_evidence(options(folder), say=lambda line: None)


def of(rows: list[Row], cell: str, suite: str) -> list[Row]:
    return [row for row in rows if row["cell"] == cell and row["suite"] == suite]


def mean(rows: list[Row], cell: str, suite: str, measure: str) -> float:
    groups = (group for row in of(rows, cell, suite) for group in row["groups"].values())
    return fmean(group[measure] for group in groups)


def test_every_cell_has_a_row_for_every_stream(rows: list[Row]) -> None:
    keys = {(row["cell"], row["question"]) for row in rows}
    assert len(keys) == len(rows) == (len(CELLS) + len(NEEDLES)) * 2
    assert {row["tokens"] for row in rows} == {TOKENS + 1}, "the start counts"


def test_an_unbounded_memory_predicts_as_full_attention_does(rows: list[Row]) -> None:
    assert mean(rows, "full", "prose", "kl") == 0
    assert mean(rows, "unbounded", "prose", "kl") < 1e-6
    assert mean(rows, "unbounded", "prose", "agreement") > 0.99


def test_what_a_bounded_memory_loses_shows(rows: list[Row]) -> None:
    full, statekv, recency = (
        mean(rows, cell, "prose", "loss") for cell in ("full", "statekv", "recency")
    )
    assert full < statekv < recency
    assert 0.01 < mean(rows, "statekv", "prose", "kl") < mean(rows, "recency", "prose", "kl")


def test_the_end_of_a_stream_is_read_whole_and_as_it_is_carried(rows: list[Row]) -> None:
    for row in of(rows, "full", "prose"):
        assert row["continuation_kl_archive"] == 0
        assert row["continuation_kl_carried"] < 1e-6
    for row in of(rows, "statekv", "prose"):
        assert row["continuation_kl_archive"] > 0
        assert row["continuation_kl_carried"] > 0
    for row in of(rows, "full", "needle"):
        assert len(row["needles_right_archive"]) == len(row["needles_age"]) == 6
        assert row["needles_right_archive"] == row["needles_right_carried"]


def test_costs_are_of_one_stream(rows: list[Row], tmp_path: Path) -> None:
    few = {name: CELLS[name] for name in ("full", "statekv")}
    alone = run_evidence(options(tmp_path, cells=few, streams=1, batch=1), say=lambda line: None)
    for row in alone:
        beside = next(
            r for r in rows if (r["cell"], r["question"]) == (row["cell"], row["question"])
        )
        for name in ("tokens", "decoder_flops", "state_bytes"):
            assert row[name] == beside[name], name
        for group, found in row["groups"].items():
            assert found["loss"] == pytest.approx(beside["groups"][group]["loss"], abs=1e-4)


def test_a_run_goes_on_where_it_stopped_also_with_more_cells(rows: list[Row], folder: Path) -> None:
    path = folder / "rows-0.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-3]), "utf-8")
    said: list[str] = []
    more = options(folder, cells={**CELLS, "small": Cell(StateKVMemory(16))})
    found = run_evidence(more, say=said.append)
    assert len(said) == 3, "two cells of the last batch owed rows, and the new one"
    assert len(of(found, "small", "prose")) == 2

    def plain(row: Row) -> str:
        return json.dumps({name: value for name, value in row.items() if name != "decoder_ms"})

    again = [row for row in found if row["cell"] != "small"]
    assert sorted(map(plain, again)) == sorted(map(plain, rows))
    assert run_evidence(more, say=said.append) == found
    assert len(said) == 3, "nothing is owed any more"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reference": "all"}, "reference 'all' is no cell; cells are full, unbounded"),
        ({"half": "train"}, r"half must be one of \('search', 'judge'\), got 'train'"),
        ({"suites": ("poetry",)}, r"suites must be one of \('prose', .*\), got 'poetry'"),
        ({"streams": 0}, "evidence: streams must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(changed: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        options(tmp_path, **changed)


def test_streams_longer_than_the_models_range_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 8192 tokens and a question need 8320 positions, the"):
        run_evidence(options(tmp_path / "run", tokens=8192))
    assert not (tmp_path / "run").exists()


def test_a_memory_that_drops_tokens_has_nothing_to_predict_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = DecoderModel(tiny_qwen2(), tiny_tokenizer())
    monkeypatch.setattr(ModelOptions, "load", lambda self: untrained)
    dropping = Cell(TokenDroppingMemory(FullMemory(), ratio=0.5))
    cells = {"full": Cell(FullMemory()), "drop": dropping}
    with pytest.raises(ValueError, match="drops tokens before the decoder, which then predicts"):
        run_evidence(options(tmp_path, cells=cells), say=lambda line: None)


def test_a_model_without_a_tokenizer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelOptions, "load", lambda self: DecoderModel(tiny_qwen2()))
    with pytest.raises(ValueError, match="smollm2-135m is not a text decoder with a tokenizer"):
        run_evidence(options(tmp_path))
