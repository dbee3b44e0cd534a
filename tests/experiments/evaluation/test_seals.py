"""Rows carry a checksum and the name of their run: what was changed or pasted is told."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.evaluation import run
from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.evaluation.seals import checksum, made_seals, read_seals
from crossframe.experiments.streaming.options import ModelOptions

from .conftest import write_rows

OLD = Path(__file__).with_name("run_without_checksums")
ROWS = [
    {"cell": cell, "question": question, "config": "a", "reply": "B\n", "correct": True, "kl": 0.1}
    for question in ("1", "2")
    for cell in ("full", "statekv")
]
REMEDY = "delete that line to have its question asked again"


def test_rows_come_back_without_what_marks_them(tmp_path: Path) -> None:
    path = write_rows(tmp_path, ROWS)
    assert read_rows(tmp_path) == ROWS
    marked = json.loads(path.read_text().splitlines()[0])
    assert marked == {**ROWS[0], "run": read_seals(tmp_path).run, "checksum": marked["checksum"]}
    assert checksum({**ROWS[0], "run": marked["run"]}) == marked["checksum"]


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(correct=False),
        lambda row: row.update(kl=0.1000001),
        lambda row: row.update(question="3"),
        lambda row: row.update(note="checked"),
        lambda row: row.pop("reply"),
        lambda row: row.update(checksum="0" * 16),
        lambda row: row.pop("checksum"),
        lambda row: row.update(run="0" * 12),
    ],
)
def test_a_changed_row_is_told(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = write_rows(tmp_path, ROWS)
    lines = path.read_text().splitlines()
    row = json.loads(lines[1])
    change(row)
    path.write_text("\n".join([lines[0], json.dumps(row), *lines[2:], ""]))
    with pytest.raises(ValueError, match=rf"rows-0.jsonl, line 2 was changed .*: {REMEDY}"):
        read_rows(tmp_path)


def test_a_row_stripped_of_its_marks_is_told(tmp_path: Path) -> None:
    path = write_rows(tmp_path, ROWS)
    path.write_text(path.read_text() + json.dumps({**ROWS[0], "question": "3"}) + "\n")
    with pytest.raises(ValueError, match=rf"line 5 has no checksum, as all rows .*; {REMEDY}"):
        read_rows(tmp_path)


def test_how_a_row_is_laid_out_does_not_matter(tmp_path: Path) -> None:
    path = write_rows(tmp_path, ROWS)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps(row, sort_keys=True, separators=(",", ":")) + "\r\n" for row in rows]
    path.write_text("".join(reversed(lines)))
    assert sorted(map(str, read_rows(tmp_path))) != sorted(map(str, ROWS))  # other order of fields
    assert [row["question"] for row in read_rows(tmp_path)] == ["2", "2", "1", "1"]


def test_a_row_of_a_run_with_the_same_settings_is_told(tmp_path: Path) -> None:
    ours, theirs = write_rows(tmp_path / "ours", ROWS), write_rows(tmp_path / "theirs", ROWS[:1])
    ours.write_text(ours.read_text() + theirs.read_text())
    with pytest.raises(ValueError, match=rf"line 5 was written by another run .*: {REMEDY}"):
        read_rows(tmp_path / "ours", {"full": "a", "statekv": "a"})


def test_rows_of_one_run_can_be_read_elsewhere_but_not_of_two(tmp_path: Path) -> None:
    ours, theirs = write_rows(tmp_path / "ours", ROWS), write_rows(tmp_path / "theirs", ROWS[:1])
    (tmp_path / "copy").mkdir()
    shutil.copy(ours, tmp_path / "copy/rows-0.jsonl")
    assert read_rows(tmp_path / "copy") == ROWS
    assert made_seals(tmp_path / "copy").run == read_seals(tmp_path / "ours").run
    (tmp_path / "copy/run.json").unlink()
    shutil.copy(theirs, tmp_path / "copy/rows-1.jsonl")
    with pytest.raises(ValueError, match=r"rows-1.jsonl, line 1 was written by another run"):
        read_rows(tmp_path / "copy")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run": 1, "before": []}', "[" * 9999])
def test_a_damaged_name_of_the_run_is_told(tmp_path: Path, content: str) -> None:
    write_rows(tmp_path, ROWS)
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json .*: put it back as it was, or give another"):
        read_rows(tmp_path)


# Folders from before rows had checksums


@pytest.fixture
def old(recorded: Callable[[str], EvaluateOptions]) -> EvaluateOptions:
    return recorded(OLD.name)


def test_an_older_folder_is_summed_up_as_before_and_says_so_once(
    old: EvaluateOptions, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelOptions, "load", None)
    before = json.loads((OLD / "summary.json").read_text())
    with caplog.at_level(logging.WARNING, "crossframe"):
        found = evaluate(old)
        assert evaluate(old) == found
    assert found is not None
    for cell in before["cells"].values():
        cell["counts"]["nonfinite"] = 0  # not counted then
        cell["right"] = 0.0  # not given then
    assert {name: found[name] for name in before} == before
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "run holds 4 rows from before rows had checksums: they are taken as they are now, and may "
        "not change from here on"
    ]


def test_an_older_folder_takes_new_rows_and_from_then_on_keeps_all(old: EvaluateOptions) -> None:
    path = old.output / "rows-0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]))
    evaluate(old)
    kept = path.read_text().splitlines(keepends=True)
    assert kept[:3] == lines[:3]
    assert "checksum" in json.loads(kept[3])
    path.write_text("".join([kept[0].replace('"correct": false', '"correct": true'), *kept[1:]]))
    with pytest.raises(ValueError, match=r"rows-0.jsonl, line 1 has no checksum, as all rows"):
        evaluate(old)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("status", None, "has status='None'"),
        ("correct", "yes", "has correct='yes'"),
        ("groups", ["a"], r"has groups=\"\['a'\]\""),
        ("frames", "5", "has frames='5', no number"),
        ("cell", ["full"], "names no cell and question"),
    ],
)
def test_older_rows_are_looked_at_too(
    old: EvaluateOptions, field: str, value: object, told: str
) -> None:
    path = old.output / "rows-0.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps({**json.loads(first), field: value}) + "\n", *others]))
    with pytest.raises(ValueError, match=rf"rows-0.jsonl, line 1 {told}.*; {REMEDY}"):
        evaluate(old)


def test_strict_refuses_rows_of_damaged_frames(
    old: EvaluateOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**row, "flagged_frames": 2} for row in read_rows(old.output)]
    (old.output / "rows-0.jsonl").unlink()
    write_rows(old.output, rows)
    found = evaluate(old)
    assert found is not None
    assert list(found["flagged"].values()) == [2]
    monkeypatch.setattr(run, "video_seconds", None)
    with pytest.raises(ValueError, match=r"1 videos that have rows already have damaged frames"):
        evaluate(EvaluateOptions(**{**vars(old), "strict": True}))
