"""Runs of the suites in docs/: compact rows, and the tables and figures that pages show of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..evidence.clip_measures import tasks_in
from ..evidence.clip_table import answers_tables, clip_sizes_tables
from ..evidence.grid import clip_grid_table, grid_tables
from ..evidence.page import drawings, overall_drawings, read_results, tables
from ..evidence.results import Results
from ..evidence.table import short_table, sizes_tables
from ..reports.drawing import Drawing
from ..reports.tables import Table, markdown_table
from .clip_results import compact_clips, expanded_clips
from .pages import measured_on

Result = Mapping[str, Any]
STAMP = ("environment", "commit", "prose", "batch")
DIGITS = 6  # significant; float32 sums differ from machine to machine before that


def compact_result(folder: Path) -> dict[str, Any]:
    """A run as one result: what its rows have in common is said once, and a row that differs from
    most says its own.

    Raises:
        ValueError: for a folder without rows.
    """
    run = read_results(folder)
    if tasks_in(run):
        return _compact_clips(run)
    common = {name: _commonest(run.rows, name) for name in STAMP}
    rows = [
        {
            name: _rounded(value)
            for name, value in row.items()
            if name != "config" and not (name in common and common[name] == value)
        }
        for row in run.rows
    ]
    environment = {**common.pop("environment"), "commit": common.pop("commit")}
    return {"config": run.config, "environment": environment, **common, "rows": rows}


def _compact_clips(run: Results) -> dict[str, Any]:
    environment = {**_commonest(run.rows, "environment"), "commit": _commonest(run.rows, "commit")}
    batch = _commonest(run.rows, "batch")
    told = _rounded(compact_clips(run.rows))
    return {"config": run.config, "environment": environment, "batch": batch, "clips": told}


def as_text(result: Result) -> str:
    """JSON with a row or cell a line, so that a change of rows is a change of their lines."""
    if "clips" in result:
        return _cells_as_text(result)
    head = json.dumps({name: part for name, part in result.items() if name != "rows"}, indent=1)
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in result["rows"])
    return f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n'


def _cells_as_text(result: Result) -> str:
    clips = {name: part for name, part in result["clips"].items() if name != "cells"}
    head = json.dumps({**result, "clips": clips}, separators=(",", ":"))
    lines = (
        f"{json.dumps(cell)}:{json.dumps(told, separators=(',', ':'))}"
        for cell, told in result["clips"]["cells"].items()
    )
    return head[:-2] + ',"cells":{\n' + ",\n".join(lines) + "\n}}}\n"


def results_of(result: Result) -> Results:
    """A published run's rows, to be compared."""
    rows = [*expanded_clips(result["clips"])] if "clips" in result else result["rows"]
    return Results(rows, result["config"])


@dataclass(frozen=True)
class Part:
    """What a page shows of published runs: tables, figures below them, where they were measured.

    Attributes:
        tables: of all runs; those without a heading stand bare.
        figures: of all runs, drawn as `Drawing`s.
        source: the name of the part whose rows and figures these are; empty: its own.
    """

    tables: Callable[[Sequence[Results]], Iterable[Table]]
    figures: Callable[[Sequence[Results]], Iterable[Drawing]] = lambda runs: ()
    source: str = ""

    def text(self, name: str, runs: Sequence[Result], figures: str) -> str:
        """The part of that name as Markdown; `figures` is their folder as seen from the page."""
        results, name = [*map(results_of, runs)], self.source or name
        parts = []
        for table in self.tables(results):
            parts += [f"**{table.heading}**"] if table.heading else []
            parts += [markdown_table(table.heads, table.lines), table.caption]
        for drawing in self.figures(results):
            picture = f"![{drawing.heading}]({figures}/{_file(name, drawing)})"
            parts += [picture, drawing.caption]
        origins = dict.fromkeys(measured_on(one) + _others(one) for one in runs)
        return "\n\n".join([*parts, " ".join(origins)])

    def write_figures(self, name: str, runs: Sequence[Result], folder: Path) -> None:
        """FOLDER/NAME-FIGURE.svg of every picture; those of before are taken away."""
        folder.mkdir(exist_ok=True)
        for old in folder.glob(f"{name}-*.svg"):
            old.unlink()
        for drawing in self.figures([*map(results_of, runs)]):
            (folder / _file(name, drawing)).write_text(drawing.svg, "utf-8")


def _of_every_size(make: Callable[[Results, int | None], Iterable[Any]]) -> Callable[..., Any]:
    return lambda runs: [one for run in runs for size in run.by_size() for one in make(run, size)]


def _at_a_glance(runs: Sequence[Results], labels: Collection[str] | None = None) -> list[Table]:
    """One short table, of the first run's first size, with `labels` as `short_table` takes them."""
    size = next(iter(runs[0].by_size()))
    return [replace(short_table(runs[0], size, labels), heading="")]


def _first_figure(runs: Sequence[Results]) -> list[Drawing]:
    return [next(drawings(runs[0], next(iter(runs[0].by_size()))))]


def _controls(runs: Sequence[Results]) -> list[Table]:
    """Prose and the other suites, not the last run's cost: of ablations and controls."""
    return [table for run in runs for table in tables(run, None)][:-1]


def _middle(run: Results) -> int | None:
    """The size that a page shows in full: the second, 5 % of a clip's slots."""
    return list(run.by_size())[:2][-1]


def _of_clips(runs: Sequence[Results]) -> list[Table]:
    """The first run task by task, then the means of all runs at every size."""
    return [*answers_tables(runs[0], _middle(runs[0])), *clip_sizes_tables(runs)]


def _drawn_of_clips(runs: Sequence[Results]) -> list[Drawing]:
    return [*overall_drawings(runs), *drawings(runs[0], _middle(runs[0]))]


# What the README shows of the judged memories.
SHORT = (
    *("full", "isolated", "recency", "random + 4 sinks", "sinks + recent", "keydiff", "snapkv"),
    *("tova", "h2o", "statekv", "decayed peak"),
    *("output change, half recent", "predicted change"),
)
EVERYTHING = Part(_of_every_size(tables), _of_every_size(drawings))
CLIPS = Part(_of_clips, _drawn_of_clips)
PARTS: Mapping[str, Part] = {
    "evidence_search": EVERYTHING,
    "evidence_judge": EVERYTHING,
    "evidence_quick": Part(_at_a_glance, _first_figure),
    "evidence_short": Part(partial(_at_a_glance, labels=SHORT), _first_figure, "evidence_judge"),
    "evidence_sizes": Part(sizes_tables, overall_drawings),
    "evidence_sinks": Part(_controls),
    "evidence_scoring": Part(_controls),
    "testbed_internvl3": CLIPS,
    "testbed_qwen3_vl": CLIPS,
    "testbed_eagle2_5": CLIPS,
    "testbed_seeds": Part(lambda runs: [*clip_sizes_tables(runs)]),
    "testbed_questions": Part(_of_clips),
    "testbed_lengths": Part(lambda runs: [*clip_sizes_tables(runs)]),
    "testbed_taught_longer": Part(_of_clips),
    "testbed_length_sizes": Part(lambda runs: [*clip_sizes_tables(runs)]),
    "testbed_readers": Part(lambda runs: [clip_grid_table(run) for run in runs]),
    "evidence_readers": Part(lambda runs: [one for run in runs for one in grid_tables(run)]),
}


def read_runs(results: Path, name: str) -> list[Result]:
    """NAME.json and, of other lengths of streams, NAME_*.json.

    Raises:
        ValueError: if there is none.
    """
    paths = [results / f"{name}.json", *sorted(results.glob(f"{name}_*.json"))]
    if not paths[0].is_file():
        raise ValueError(f"{paths[0]} is not there: publish a run under this name first")
    return [json.loads(path.read_text("utf-8")) for path in paths]


def _file(name: str, drawing: Drawing) -> str:
    return f"{name}-{drawing.name}.svg"


def _others(result: Result) -> str:
    """How many rows come from elsewhere."""
    if "clips" in result:
        return ""
    own = sum("commit" in row or "environment" in row for row in result["rows"])
    return f" {own:,} of {len(result['rows']):,} rows name another origin." if own else ""


def _commonest(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    texts = Counter(json.dumps(row[name], sort_keys=True) for row in rows)
    return json.loads(texts.most_common(1)[0][0])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value
