"""A run's folder in other hands: rows edited, swapped, pasted, cut; the same rows, or one line."""

import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from crossframe.experiments.evaluation.folder import cell_hashes, run_folder
from crossframe.experiments.evaluation.rows import RowFile, key_of, read_rows

from .cases import Case, Family

Row = dict[str, Any]
Lines = list[bytes]

CONFIG: dict[str, Any] = {
    "benchmark": {"class_path": "a.Benchmark", "init_args": {"root": "videos"}},
    "cells": {"full": {"memory": "full"}, "statekv": {"memory": "statekv"}},
    "reference": "full",
    "seed": 0,
}
REMEDIES = ("delete", "another output folder", "put it back")
OLDER = ("run.json", "run.lock")  # what folders from before checksums lack


@cache
def studies() -> Path:
    """Four runs: `ours`, `same` with the same settings, `other` with others, `old` as ours from
    before rows had checksums."""
    root = Path(mkdtemp(prefix="rows"))
    for name, seed in (("ours", 0), ("same", 0), ("other", 1)):
        config = {**CONFIG, "seed": seed}
        with run_folder(root / name, config) as written:
            for rank in range(2):
                file = RowFile(root / name, rank)
                file.append(_row(written, name, number) for number in range(rank, 12, 2))
                file.close()
    shutil.copytree(root / "ours", root / "old")
    for path in (root / "old").glob("rows-*.jsonl"):
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        bare = [{n: row[n] for n in row if n not in ("run", "checksum")} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in bare))
    for name in OLDER:
        (root / "old" / name).unlink(missing_ok=True)
    return root


def _row(config: Any, study: str, number: int) -> Row:
    cell, question = ("full", "statekv")[number % 2], f"q{number // 2}"
    refused = number in (4, 5)
    said = {"reply": None if refused else f"B) {study} ä {number}", "correct": number % 3 == 0}
    costs = {"frames": 8, "decoder_flops": 12345678901234567890, "ask_ms": 0.1 + number}
    return {
        "benchmark": "videomme",
        "commit": "0123abc",
        "config": cell_hashes(config)[cell],
        "cell": cell,
        "question": question,
        "video": f"clip{number // 4}",
        "answer": "B",
        "groups": {"duration": "short"},
        "status": "missing" if refused else "answered",
        **said,
        **({"why": "no file"} if refused else {**costs, "kl_to_full": 1e-17, "pass": question}),
    }


def case_in(folder: Path, study: str, what: str, change: Callable[[Path], None]) -> Case:
    """The rows that are still there must be those that were written, each as it was."""
    run = folder / "run"
    shutil.copytree(studies() / study, run)
    whole = {key_of(row): row for row in read_rows(studies() / study)}
    change(run)
    before = _contents(run)

    def act() -> list[Row]:
        try:
            return read_rows(run, cell_hashes(CONFIG))
        except ValueError as error:
            assert any(remedy in str(error) for remedy in REMEDIES), f"no remedy: {error}"
            raise

    def right(rows: Any) -> None:
        assert len({key_of(row) for row in rows}) == len(rows), "a question twice"
        for row in rows:
            assert row == whole.get(key_of(row)), f"accepted {row}"

    def untouched() -> None:
        assert _contents(run) == before

    return Case(what, act, right, (str(run),), untouched)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _lines(path: Path) -> Lines:
    return path.read_bytes().splitlines(keepends=True)


# Families


VALUES = (None, True, False, 0, 1, -1, 2.5, "", "B", "answered", "invalid", [], {}, ["full"], 1e300)


def edited(random: Random, folder: Path) -> Case:
    """One field of one row says something else, in a new folder or an old one."""
    study = random.choice(("ours", "ours", "ours", "old"))
    name = f"rows-{random.randrange(2)}.jsonl"
    lines = _lines(studies() / study / name)
    number = random.randrange(len(lines))
    row = json.loads(lines[number])
    field = random.choice([*row, "note"])
    value = random.choice((*VALUES, _nearly(random, row.get(field))))
    if study == "old":  # without checksums only what cannot be is told
        field, value = random.choice(UNTENABLE)
    row = {n: row[n] for n in row if n != field} if value == "gone" else {**row, field: value}
    lines[number] = json.dumps(row).encode() + b"\n"

    def change(run: Path) -> None:
        (run / name).write_bytes(b"".join(lines))

    return case_in(folder, study, f"{study}/{name}:{number + 1} with {field}={value!r}", change)


def _nearly(random: Random, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + random.choice((1, -1, 1e-9))
    return f"{value} "


UNTENABLE: tuple[tuple[str, Any], ...] = (
    *((name, "gone") for name in ("status", "video", "correct", "groups", "cell", "question")),
    *((name, ["full"]) for name in ("cell", "question", "status", "video", "groups", "frames")),
    *(("config", "0" * 12), ("correct", 1), ("correct", "true"), ("ask_ms", "3"), ("cell", "gone")),
)


def changed_bytes(random: Random, folder: Path) -> Case:
    """Bytes of a file changed, dropped, put in or cut off at the end."""
    name = random.choice(("rows-0.jsonl", "rows-1.jsonl"))
    data = bytearray((studies() / "ours" / name).read_bytes())
    how = random.choice(("flip", "flip", "drop", "insert", "cut", "zeros", "utf-16", "crlf"))
    place = random.randrange(len(data))
    match how:
        case "flip":
            data[place] ^= 1 << random.randrange(8)
        case "drop":
            del data[place : place + random.randrange(1, 40)]
        case "insert":
            data[place:place] = random.randbytes(random.randrange(1, 20))
        case "cut":
            del data[place:]
        case "zeros":
            data[place:] = bytes(len(data) - place)
        case "utf-16":
            data = bytearray(data.decode().encode("utf-16"))
        case _:
            data = data.replace(b"\n", b"\r\n")

    def change(run: Path) -> None:
        (run / name).write_bytes(data)

    return case_in(folder, "ours", f"{name}: {how} at {place}", change)


def moved_lines(random: Random, folder: Path) -> Case:
    """Lines swapped, repeated, left out, moved to another file: what is there is still true."""
    lines = [_lines(studies() / "ours" / f"rows-{rank}.jsonl") for rank in range(2)]
    how = random.choice(("shuffle", "repeat", "drop", "other file", "swap keys", "half"))
    number = random.randrange(len(lines[0]))
    match how:
        case "shuffle":
            random.shuffle(lines[0])
        case "repeat":
            lines[random.randrange(2)].append(lines[0][number])
        case "drop":
            del lines[0][number:]
        case "other file":
            lines[1].insert(random.randrange(4), lines[0].pop(number))
        case "half":  # of a line: in the middle it is told, at the end a kill left it
            half = lines[0][number][: random.randrange(len(lines[0][number]))]
            lines[0][number:] = [half, *lines[0][number + 1 :][: random.randrange(3)]]
        case _:
            rows = [json.loads(lines[0][place]) for place in (number, number - 1)]
            names = random.choice((["question"], ["cell", "config"], ["reply"], ["checksum"]))
            for field in names:
                rows[0][field], rows[1][field] = rows[1].get(field), rows[0].get(field)
            for place, row in zip((number, number - 1), rows, strict=True):
                lines[0][place] = json.dumps(row).encode() + b"\n"

    def change(run: Path) -> None:
        for rank in range(2):
            (run / f"rows-{rank}.jsonl").write_bytes(b"".join(lines[rank]))

    return case_in(folder, "ours", f"line {number + 1}: {how}", change)


def pasted(random: Random, folder: Path) -> Case:
    """Lines or files of another study, or of one with the same settings, beside or instead."""
    study = random.choice(("same", "other"))
    source = studies() / study / f"rows-{random.randrange(2)}.jsonl"
    how = random.choice(("lines", "instead", "beside", "dressed", "stripped", "with its name"))
    line = random.choice(_lines(source))
    row = json.loads(line)
    row["reply"] = f"pasted {random.random()}"
    run_name = json.loads(_lines(studies() / "ours/rows-0.jsonl")[0]).get("run")

    def change(run: Path) -> None:
        if how == "instead":
            shutil.copy(source, run / "rows-0.jsonl")
        elif how == "beside":
            shutil.copy(source, run / "rows-7.jsonl")
        elif how == "with its name":
            shutil.copy(source, run / "rows-0.jsonl")
            if (source.parent / "run.json").exists():
                shutil.copy(source.parent / "run.json", run / "run.json")
        else:
            dressed = {**row, "run": run_name}
            bare = {n: row[n] for n in row if n not in ("run", "checksum")}
            said = {"lines": line, "dressed": _line(dressed), "stripped": _line(bare)}[how]
            with (run / "rows-0.jsonl").open("ab") as file:
                file.write(said)

    return case_in(folder, "ours", f"{how} of {source.parent.name}/{source.name}", change)


def _line(row: Row) -> bytes:
    return json.dumps(row).encode() + b"\n"


WRITTEN: tuple[bytes, ...] = (
    *(b"", b"{", b"[]", b"null", b"{}", b'{"run": 1, "before": []}', b'{"cells": []}', b"\xff\xfe"),
    *(b"[" * 5000, b'{"run": "0", "before": []}', b'{"cells": {}}', b"1e999", b'"' + b"a" * 900),
    *(b'{"run": null, "before": null}', b'{"cells": {"full": 1}, "seed": 0}', b'{"a":' * 3000),
)


def other_files(random: Random, folder: Path) -> Case:
    """What lies beside the rows says nonsense; a run goes on only where it is sure."""
    name, content = random.choice(("run.json", "config.json")), random.choice(WRITTEN)
    older = random.random() < 0.2

    def change(run: Path) -> None:
        (run / name).write_bytes(content)
        if older:
            os.unlink(run / name)

    case = case_in(folder, "ours", f"{name} {'gone' if older else content[:30]!r}", change)
    run = folder / "run"
    before = read_rows(studies() / "ours")

    def act() -> list[Row]:
        with run_folder(run, CONFIG) as written:
            return read_rows(run, cell_hashes(written))

    def right(rows: Any) -> None:
        assert sorted(rows, key=key_of) == sorted(before, key=key_of)

    def rows_stay() -> None:
        for path in (studies() / "ours").glob("rows-*.jsonl"):
            assert (run / path.name).read_bytes() == path.read_bytes()

    return Case(case.what, act, right, (str(run),), rows_stay)


FAMILIES = (
    Family("edited rows", edited, 60),
    Family("rows with changed bytes", changed_bytes, 40),
    Family("moved rows", moved_lines, 30),
    Family("pasted rows", pasted, 30),
    Family("files beside rows", other_files, 20),
)
