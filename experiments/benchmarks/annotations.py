"""Annotation files as records that know where they stand, so that every error can say it."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One annotated item.

    Every getter raises ValueError, naming file, item and field, for a field that is missing or
    holds something else.

    Attributes:
        where: file and item, for messages.
        values: the fields.
    """

    where: str
    values: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        return self._typed(name, str, "text")

    def name(self, name: str) -> str:
        """An id: text or a whole number."""
        return str(self._typed(name, (str, int), "text or a whole number"))

    def number(self, name: str) -> float:
        return float(self._typed(name, (int, float), "a number"))

    def evidence(self) -> float | None:
        """Seconds at which what answers it was last shown, where the file tells: no published one
        does, those of the testbed do."""
        return self.number("evidence") if "evidence" in self else None

    def index(self, name: str, count: int) -> int:
        """A place in a list of `count`; text that spells a number counts too."""
        value = self._typed(name, (int, str), "a whole number")
        try:
            place = int(value)
        except ValueError:
            raise self.fault(name, f"is {value!r}, not a whole number") from None
        if not 0 <= place < count:
            raise self.fault(name, f"is {place}, but the options are 0 to {count - 1}")
        return place

    def texts(self, name: str) -> list[str]:
        """A list of texts, or (in CSV files) one as Python writes it."""
        value = self._typed(name, (list, str), "a list of texts")
        try:
            items = ast.literal_eval(value) if isinstance(value, str) else value
        except (ValueError, SyntaxError):
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self.fault(name, f"is {value!r}, not a list of texts")
        return items

    def records(self, name: str) -> list[Record]:
        """The items of a field that holds a list of items."""
        return _records(self._typed(name, list, "a list of items"), f"{self.where}, {name}")

    def letter(self, name: str, choices: Mapping[str, str]) -> str:
        """An answer, one of the letters."""
        letter = self.text(name)
        if letter not in choices:
            raise self.fault(name, f"is {letter!r}, but the options are {', '.join(choices)}")
        return letter

    def fault(self, name: str, what: str) -> ValueError:
        """An error about one field."""
        return ValueError(f"{self.where}: field {name!r} {what}")

    def _typed(self, name: str, kind: type[T] | tuple[type[T], ...], words: str) -> T:
        if name not in self.values:
            known = ", ".join(map(repr, self.values))
            raise self.fault(
                name,
                f"is missing (there are {known}): check how it is spelled, or whether this is the "
                "file as it was published",
            )
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise self.fault(name, f"is {value!r}, not {words}")
        return value


def read_records(path: Path) -> list[Record]:
    """Items of an annotation file by its suffix: rows of a .parquet, lines of a .csv (all fields
    text), lines of a .jsonl with one JSON object each, or the list of objects that a .json holds.

    Raises:
        ValueError: for a file that is no such thing, was cut short or holds something else, naming
            line or row where there is one.
    """
    if path.suffix == ".jsonl":
        lines = _read(path, "JSON lines", lambda: path.read_text("utf-8").splitlines())
        numbered = [(f"{path}, line {n}", line) for n, line in enumerate(lines, 1) if line]
        return [_record(_parsed(line, where), where) for where, line in numbered]
    if path.suffix == ".json":
        return _records(_json(path), str(path))
    if path.suffix == ".parquet":
        return _records(_read(path, "parquet", lambda: _parquet(path)), str(path), "row")
    lines = _read(path, "CSV", lambda: _csv(path))
    records = [_record(values, f"{path}, line {number}") for number, values in lines]
    for record in records:
        if None in record.values or None in record.values.values():
            raise ValueError(f"{record.where} has not one value per column; {_REMEDY}")
    return records


def read_lists(path: Path) -> list[list[Record]]:
    """Items of a JSON file that holds a list of lists of objects.

    Raises:
        ValueError: as for `read_records`.
    """
    groups = _json(path)
    if not isinstance(groups, list):
        raise ValueError(f"{path} holds no list; is this the file as it was published?")
    return [_records(group, f"{path}, list {number}") for number, group in enumerate(groups)]


def read_record(path: Path) -> Record:
    """A JSON file that holds one object.

    Raises:
        ValueError: as for `read_records`.
    """
    return _record(_json(path), str(path))


def seconds_of(stamp: str) -> float:
    """Of a time stamp H:MM:SS or MM:SS."""
    parts = reversed(stamp.split(":"))
    return float(sum(int(part) * 60**place for place, part in enumerate(parts)))


_REMEDY = "complete it, or download it again if it was cut short"


def _read(path: Path, kind: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, OSError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as {kind} ({error}); {_REMEDY}") from error


def _json(path: Path) -> Any:
    return _read(path, "JSON", lambda: json.loads(path.read_text("utf-8")))


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet  # 0.2 s, needed for some benchmarks only

    # Opened here, so that a folder in the path is never taken for a column.
    return pyarrow.parquet.ParquetFile(path).read().to_pylist()


def _csv(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Each item with the number of the line it ends in."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        return [(reader.line_num, values) for values in reader]


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON ({error}); {_REMEDY}") from error


def _records(items: Any, where: str, word: str = "item") -> list[Record]:
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise ValueError(f"{where} holds no list of items; is this the file as it was published?")
    return [_record(item, f"{where}, {word} {number}") for number, item in enumerate(items)]


def _record(item: Any, where: str) -> Record:
    if not isinstance(item, Mapping):
        raise ValueError(f"{where} is {item!r:.80}, not an object with fields")
    return Record(where, item)
