"""Damaged files and wrong fields: every error names the file, the item and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks.annotations import (
    Record,
    csv_records,
    json_lists,
    json_record,
    json_records,
    jsonl_records,
    parquet_records,
)

from .files import Files


def record(**values: Any) -> Record:
    return Record("file.json, item 3", values)


def test_fields_are_given_as_their_type() -> None:
    one = record(text="x", id=7, time=2.5, texts=["a", "b"], written="['a', 'b']", place="1")
    assert one.text("text") == "x"
    assert one.name("id") == "7"
    assert one.number("time") == 2.5
    assert one.texts("texts") == one.texts("written") == ["a", "b"]
    assert one.index("place", 2) == one.index("id", 8) - 6 == 1
    assert "text" in one
    assert "other" not in one
    assert "nothing" not in record(nothing=None)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.text("b"), r"file.json, item 3: field 'b' is missing \(there are 'a'\)"),
        (lambda r: r.text("a"), r"item 3: field 'a' is 5, not text"),
        (lambda r: r.texts("a"), r"field 'a' is 5, not a list of texts"),
        (lambda r: r.records("a"), r"field 'a' is 5, not a list of items"),
        (lambda r: r.index("a", 4), r"field 'a' is 5, but the options are 0 to 3"),
    ],
)
def test_a_wrong_field_is_named(ask: Callable[[Record], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(record(a=5))


@pytest.mark.parametrize(
    ("value", "ask", "message"),
    [
        (True, lambda r: r.number("a"), "field 'a' is True, not a number"),
        (None, lambda r: r.text("a"), "field 'a' is None, not text"),
        ("x", lambda r: r.index("a", 4), "field 'a' is 'x', not a whole number"),
        (-1, lambda r: r.index("a", 4), "field 'a' is -1, but the options are 0 to 3"),
        ([1], lambda r: r.texts("a"), r"field 'a' is \[1\], not a list of texts"),
        ("['a'", lambda r: r.texts("a"), "not a list of texts"),
        ("'a'", lambda r: r.texts("a"), "not a list of texts"),
        ("F", lambda r: r.letter("a", {"A": "", "B": ""}), "is 'F', but the options are A, B"),
        ("", lambda r: r.letter("a", {"A": "", "B": ""}), "is '', but the options are A, B"),
        ([3], lambda r: r.records("a"), "item 3, a, item 0 is 3, not an object"),
    ],
)
def test_a_wrong_value_is_named(value: Any, ask: Callable[[Record], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(record(a=value))


Reader = Callable[[Path], Any]


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (json_records, '[{"a": 1}, {"a"', "cannot be read as JSON .*download it again"),
        (json_records, '{"a": 1}', "holds no list of items; is this the file as it was published"),
        (json_records, '"text"', "holds no list of items"),
        (json_records, "[3]", "item 0 is 3, not an object with fields"),
        (json_lists, '{"a": 1}', "holds no list; is this"),
        (json_lists, "[3]", "list 0 holds no list of items"),
        (json_record, "[1]", r"is \[1\], not an object with fields"),
        (json_record, '{"a"', "cannot be read as JSON"),
        (jsonl_records, '{"a": 1}\n{"a": ', "line 2 is no JSON .*download it again"),
        (jsonl_records, "3", "line 1 is 3, not an object"),
        (csv_records, "a,b\n1,2\n3\n", "row 1 has not one value per column.*download it again"),
        (csv_records, "a,b\n1,2,3\n", "row 0 has not one value per column"),
        (csv_records, 'a,b\n1,"two', "cannot be read as CSV"),
        (parquet_records, "PAR1 but no more", "cannot be read as parquet .*download it again"),
        (parquet_records, "", "cannot be read as parquet"),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, reader: Reader, content: str, message: str
) -> None:
    path = tmp_path / "annotations.file"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        reader(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("reader", [json_records, jsonl_records, csv_records])
def test_bytes_that_are_no_text_are_told(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match="cannot be read as"):
        reader(path)


def test_a_truncated_parquet_is_told(files: Files) -> None:
    path = files.parquet("a.parquet", [{"a": "x" * 50, "b": n} for n in range(200)])
    assert len(parquet_records(path)) == 200
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as parquet"):
        parquet_records(path)


def test_rows_know_where_they_stand(files: Files) -> None:
    table = files.root / "a.csv"
    table.write_text("﻿a,b\n1,2\n\n3,'x'\n", "utf-8")  # with a byte order mark
    assert [row.values for row in csv_records(table)] == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "'x'"},
    ]
    assert csv_records(table)[1].where == f"{table}, row 1"
    path = files.parquet("a.parquet", [{"a": ["x", "y"]}])
    assert parquet_records(path)[0].texts("a") == ["x", "y"]
    lines = files.root / "a.jsonl"
    lines.write_text('{"a": 1}\n\n{"a": 2}\n', "utf-8")
    assert [line.where for line in jsonl_records(lines)] == [f"{lines}, line 1", f"{lines}, line 3"]
