"""Damaged files and wrong fields: every error names the file, the item and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks.annotations import (
    Record,
    read_lists,
    read_record,
    read_records,
)

from .files import Files

KINDS = ("json", "jsonl", "csv", "parquet")


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
    ("value", "ask", "message"),
    [
        (5, lambda r: r.text("b"), r"file.json, item 3: field 'b' is missing \(there are 'a'\)"),
        (5, lambda r: r.text("a"), r"item 3: field 'a' is 5, not text"),
        (5, lambda r: r.texts("a"), r"field 'a' is 5, not a list of texts"),
        (5, lambda r: r.records("a"), r"field 'a' is 5, not a list of items"),
        (5, lambda r: r.index("a", 4), r"field 'a' is 5, but the options are 0 to 3"),
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
def test_a_wrong_field_is_named(value: Any, ask: Callable[[Record], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(record(a=value))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '[{"a": 1}, {"a"', "cannot be read as JSON .*download it again"),
        ("a.json", '{"a": 1}', "holds no list of items; is this the file as it was published"),
        ("a.json", '"text"', "holds no list of items"),
        ("a.json", "[3]", "item 0 is 3, not an object with fields"),
        ("a.jsonl", '{"a": 1}\n{"a": ', "line 2 is no JSON .*download it again"),
        ("a.jsonl", "3", "line 1 is 3, not an object"),
        ("a.csv", "a,b\n1,2\n3\n", "line 3 has not one value per column.*download it again"),
        ("a.csv", "a,b\n1,2,3\n", "line 2 has not one value per column"),
        ("a.csv", 'a,b\n1,"two', "cannot be read as CSV"),
        ("a.parquet", "PAR1 but no more", "cannot be read as parquet .*download it again"),
        ("a.parquet", "", "cannot be read as parquet"),
        *((f"a.{kind}", b"\xff\xfe\x00\x80", "cannot be read as") for kind in KINDS),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=message) as caught:
        read_records(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (read_lists, '{"a": 1}', "holds no list; is this"),
        (read_lists, "[3]", "list 0 holds no list of items"),
        (read_record, "[1]", r"is \[1\], not an object with fields"),
        (read_record, '{"a"', "cannot be read as JSON"),
    ],
)
def test_json_of_another_shape_is_named(
    tmp_path: Path, reader: Callable[[Path], Any], content: str, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=rf"a\.json.*{message}"):
        reader(path)


def test_a_truncated_parquet_is_told(files: Files) -> None:
    path = files.parquet("a.parquet", [{"a": "x" * 50, "b": n} for n in range(200)])
    assert len(read_records(path)) == 200
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as parquet"):
        read_records(path)


def test_rows_know_where_they_stand(files: Files) -> None:
    table = files.root / "a.csv"
    table.write_text("﻿a,b\n1,2\n\n3,'x'\n", "utf-8")  # with a byte order mark
    assert [row.values for row in read_records(table)] == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "'x'"},
    ]
    assert read_records(table)[1].where == f"{table}, line 4"
    path = files.parquet("a.parquet", [{"a": ["x", "y"]}])
    assert read_records(path)[0].texts("a") == ["x", "y"]
    lines = files.root / "a.jsonl"
    lines.write_text('{"a": 1}\n\n{"a": 2}\n', "utf-8")
    assert [line.where for line in read_records(lines)] == [f"{lines}, line 1", f"{lines}, line 3"]
