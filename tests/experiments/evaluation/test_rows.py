"""Rows survive what a kill leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe.experiments.evaluation.rows import RowFile, read_rows

from .conftest import write_rows


def _row(question: str, cell: str = "full") -> dict[str, str]:
    return {"cell": cell, "question": question}


def test_rows_of_all_processes_are_read_once_each(tmp_path: Path) -> None:
    for rank, names in enumerate((("1", "2"), ("2", "3"))):
        write_rows(tmp_path, map(_row, names), rank)
    assert [row["question"] for row in read_rows(tmp_path)] == ["1", "2", "3"]


def test_half_a_line_is_passed_over_and_removed_by_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "rows-0.jsonl"
    path.write_text('{"cell": "full", "question": "1"}\n{"cell": "full", "que')
    assert [row["question"] for row in read_rows(tmp_path)] == ["1"]
    write_rows(tmp_path, [_row("2")])
    first, second = path.read_text().splitlines()
    assert first == '{"cell": "full", "question": "1"}'
    assert second.startswith('{"cell": "full", "question": "2", "run": "')
    assert [row["question"] for row in read_rows(tmp_path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("second", "told"),
    [("rubbish", "is no result row .*delete that"), ("{}", "names no cell and question")],
)
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, second: str, told: str) -> None:
    (tmp_path / "rows-0.jsonl").write_text(f'{{"cell": "a", "question": "1"}}\n{second}\n{{}}\n')
    with pytest.raises(ValueError, match=rf"rows-0.jsonl, line 2 {told}"):
        read_rows(tmp_path)


def test_numbers_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        RowFile(tmp_path).append([{**_row("1"), "kl": float("nan")}])


def test_a_row_of_an_asked_question_replaces_one_without_a_video(tmp_path: Path) -> None:
    gone = {**_row("1"), "status": "missing"}
    torn = {**_row("2"), "status": "unreadable"}
    asked = {**_row("1"), "status": "invalid"}
    for rank, rows in enumerate(([gone, torn], [asked], [gone])):
        write_rows(tmp_path, rows, rank)
    assert read_rows(tmp_path) == [asked, torn]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"config": "b"}, r"cell full with config b, this run has a"),
        ({"config": "a", "cell": "gone"}, r"cell gone with config a, this run has None"),
        ({}, r"cell full with config None, this run has a"),
    ],
)
def test_rows_of_other_settings_are_refused(
    tmp_path: Path, second: dict[str, str], told: str
) -> None:
    write_rows(tmp_path, [{**_row("1"), "config": "a"}, {**_row("2"), **second}])
    with pytest.raises(ValueError, match=rf"rows-0.jsonl, line 2 comes from .* \({told}\)"):
        read_rows(tmp_path, {"full": "a"})
    assert len(read_rows(tmp_path)) == 2
