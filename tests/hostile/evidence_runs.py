"""Runs of the evidence suites as stops, odd names and unlucky numbers leave them, told all the
same; presets and folders that there are not."""

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from random import Random
from typing import Any

from crossframe.experiments.command.config_files import with_presets
from crossframe.experiments.evidence.page import overall_tables, read_results, summary, tables
from crossframe.experiments.evidence.results import Results
from crossframe.experiments.evidence.statistics import BETTER, EQUIVALENT, UNDECIDED, WORSE
from crossframe.experiments.reports.tables import Table
from crossframe.experiments.streaming.cells import Cell
from crossframe.framework import CrossFrameMemory
from crossframe.framework.as_data import plain
from crossframe.methods import FullMemory, H2OMemory, RandomMemory, RecencyMemory, StateKVMemory

from .cases import Case, Family

CELLS: dict[str, CrossFrameMemory] = {
    "full": FullMemory(),
    "statekv/64": StateKVMemory(64),
    "statekv/128": StateKVMemory(128),
    "h2o": H2OMemory(128),
    "random/0": RandomMemory(128, 0),
    "random/1": RandomMemory(128, 1),
    "<b>odd</b> & |": RecencyMemory(64),
    "/": RecencyMemory(128),
}
SUITES = ("prose", "copy", "scene", "needle")
VERDICTS = {BETTER, WORSE, EQUIVALENT, UNDECIDED}


def _row(random: Random, cell: str, suite: str, seed: int) -> dict[str, Any]:
    value = random.choice((0.0, 1e-9, 0.1, 0.1, 3.0, 1e6))
    group = {"loss": value, "kl": value, "agreement": random.random(), "count": 5}
    groups = {} if suite == "needle" else {random.choice(("2 frames", "second half")): group}
    question = f"{suite}/search/64/{seed}"
    found: dict[str, Any] = {"cell": cell, "question": question, "suite": suite}
    found |= {"groups": groups, "tokens": 65, "decoder_flops": 1, "decoder_ms": value}
    found |= {"state_bytes": random.choice((0, 1, 6400, 12800)), "archive_bytes": 9}
    if suite == "needle":
        found["needles_right_archive"] = [random.random() < 0.5]
    return found


def _run(random: Random) -> Results:
    cells = random.sample(list(CELLS), random.randint(1, len(CELLS)))
    suites = random.sample(SUITES, random.randint(1, len(SUITES)))
    keys = [(c, s, seed) for s in suites for c in cells for seed in range(random.choice((1, 3, 9)))]
    rows = [_row(random, *key) for key in keys]
    kept = rows[: random.randint(1, len(rows))] if random.random() < 0.5 else rows
    settings = {name: plain(Cell(CELLS[name])) for name in cells}
    config = {"cells": settings, "reference": "full", "tokens": 64, "half": "search"}
    return Results(random.sample(kept, len(kept)), config)


def _told(results: Results) -> Callable[[], tuple[str, list[Table]]]:
    def tell() -> tuple[str, list[Table]]:
        found = [*overall_tables(results)]
        found += [table for size in results.by_size() for table in tables(results, size)]
        return json.dumps(summary(results), allow_nan=False), found

    return tell


def _is_whole(results: Results) -> Callable[[object], None]:
    def right(came_back: object) -> None:
        text, found = came_back  # pyright: ignore[reportGeneralTypeIssues]
        labels = {cell.partition("/")[0] for cell in (row["cell"] for row in results.rows)}
        shown = {line[0].partition("/")[0] for table in found for line in table.lines}
        assert shown == labels, "every memory that has rows, and no other"
        for table in found:
            assert all(len(line) == len(table.heads) for line in table.lines), table.name
        for line in (line for table in found for line in table.lines):
            assert not any(word in cell for cell in line[1:] for word in ("nan", "None", "inf"))
        for size in json.loads(text)["sizes"].values():
            for memory in size.values():
                for rival in memory.get("against", {}).values():
                    assert {one["verdict"] for one in rival.values()} <= VERDICTS

    return right


def _stopped_run(random: Random, folder: Path) -> Case:
    del folder
    results = _run(random)
    what = f"{len(results.rows)} rows of {escape(str(list(results.config['cells'])))}"
    return Case(what, _told(results), _is_whole(results))


def _no_preset(random: Random, folder: Path) -> Case:
    name = random.choice(("", "Quick", "../quick", "quick.yaml", "*", "evidence_quick", "\0"))
    if random.random() < 0.3:
        words = ["evidence", "--preset", "quick"]
        return Case("a preset that there is", lambda: with_presets(words), _is_a_config)
    words = random.choice((["evidence", f"--preset={name}"], ["evidence", "--preset", name]))
    names = (repr(name), "there are clips, judge, quick, ")
    return Case(f"preset {name!r}", lambda: with_presets(words), names=names)


def _is_a_config(came_back: object) -> None:
    _, option, path = came_back  # pyright: ignore[reportGeneralTypeIssues]
    assert option == "--config"
    assert Path(path).is_file()


def _no_run(random: Random, folder: Path) -> Case:
    content = random.choice((None, "", "[]", "{", '{"cells": {}}', '{"cells": {"a": {}}}', "{}"))
    if content is not None:
        (folder / "config.json").write_text(content)
    return Case(f"a folder with {content!r}", lambda: read_results(folder), names=(str(folder),))


FAMILIES = (
    Family("stopped-evidence", _stopped_run, 40),
    Family("no-preset", _no_preset, 8),
    Family("no-evidence-run", _no_run, 8),
)
