"""Runs of the suites in docs/: compact rows, and the tables and figures that pages show of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..evidence.grid import grid_tables
from ..evidence.page import drawings, overall_drawings, read_results, tables
from ..evidence.results import Results
from ..evidence.table import short_table, sizes_tables
from ..reports.drawing import Drawing
from ..reports.tables import Table, markdown_table
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
    found = read_results(folder)
    common = {name: _commonest(found.rows, name) for name in STAMP}
    rows = [
        {
            name: _rounded(value)
            for name, value in row.items()
            if name != "config" and not (name in common and common[name] == value)
        }
        for row in found.rows
    ]
    environment = {**common.pop("environment"), "commit": common.pop("commit")}
    return {"config": found.config, "environment": environment, **common, "rows": rows}


def as_text(result: Result) -> str:
    """JSON with a row a line, so that a change of rows is a change of their lines."""
    head = json.dumps({name: part for name, part in result.items() if name != "rows"}, indent=1)
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in result["rows"])
    return f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n'


def results_of(result: Result) -> Results:
    """A published run's rows, to be compared."""
    return Results(result["rows"], result["config"])


def quick_part(name: str, runs: Sequence[Result], figures: str) -> str:
    """One figure, one short table."""
    table, (picture, *_) = short_table(results_of(runs[0])), figures_of(name, runs)
    return "\n\n".join([_shown(table), _pictured(name, picture, figures), _measured(runs)])


def short_part(name: str, runs: Sequence[Result], figures: str) -> str:
    """The README's: of all that was judged the memories that people know, and one figure."""
    results = results_of(runs[0])
    size = next(iter(results.by_size()))
    picture = next(drawings(results, size))
    table = short_table(results, size, SHORT)
    return "\n\n".join([_shown(table), _pictured(name, picture, figures), _measured(runs)])


def control_part(name: str, runs: Sequence[Result], figures: str) -> str:
    """Prose and the other suites in tables alone: of ablations and controls."""
    del name, figures
    found = [results_of(one) for one in runs]
    parts = [f"**{t.heading}**\n\n{_shown(t)}" for r in found for t in tables(r, None)][:-1]
    return "\n\n".join([*parts, _measured(runs)])


def judge_part(name: str, runs: Sequence[Result], figures: str) -> str:
    """All tables and figures of every size."""
    parts = []
    for results in map(results_of, runs):
        for size in results.by_size():
            for table in tables(results, size):
                parts.append(f"**{table.heading}**\n\n{_shown(table)}")
    parts += [_pictured(name, one, figures) for one in figures_of(name, runs)]
    return "\n\n".join([*parts, _measured(runs)])


def sizes_part(name: str, runs: Sequence[Result], figures: str) -> str:
    """KL and loss by size over all runs, and KL against bytes."""
    found = sizes_tables([results_of(one) for one in runs])
    parts = [f"**{table.heading}**\n\n{_shown(table)}" for table in found]
    pictures = [_pictured(name, one, figures) for one in figures_of(name, runs)]
    return "\n\n".join([*parts, *pictures, _measured(runs)])


def grid_part(name: str, runs: Sequence[Result], figures: str) -> str:
    """What is written by what is read."""
    del name, figures
    found = [table for one in runs for table in grid_tables(results_of(one))]
    parts = [f"**{table.heading}**\n\n{_shown(table)}" for table in found]
    return "\n\n".join([*parts, _measured(runs)])


# How a published run is shown, by the beginning of its name.
PARTS: Mapping[str, Callable[[str, Sequence[Result], str], str]] = {
    "evidence_search": judge_part,
    "evidence_quick": quick_part,
    "evidence_judge": judge_part,
    "evidence_sizes": sizes_part,
    "evidence_short": short_part,
    "evidence_sinks": control_part,
    "evidence_scoring": control_part,
    "evidence_readers": grid_part,
}
# Parts made from another part's rows.
SOURCES = {"evidence_short": "evidence_judge"}
# What the README shows of the judged memories.
SHORT = (
    *("full", "isolated", "recency", "random + 4 sinks", "sinks + recent", "keydiff", "snapkv"),
    *("tova", "h2o", "statekv", "decayed peak"),
    *("output change, half recent", "predicted change"),
)


def figures_of(name: str, runs: Sequence[Result]) -> list[Drawing]:
    """The pictures that a name's part shows."""
    found = [results_of(one) for one in runs]
    if name == "evidence_quick":
        return [next(drawings(found[0], next(iter(found[0].by_size()))))]
    if name in ("evidence_search", "evidence_judge"):
        return [one for run in found for size in run.by_size() for one in drawings(run, size)]
    if name == "evidence_sizes":
        return list(overall_drawings(found))
    return []


def write_figures(name: str, runs: Sequence[Result], folder: Path) -> None:
    """FOLDER/NAME-FIGURE.svg of every picture; those of before are taken away."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"{name}-*.svg"):
        old.unlink()
    for drawing in figures_of(name, runs):
        (folder / _file(name, drawing)).write_text(drawing.svg, "utf-8")


def _file(name: str, drawing: Drawing) -> str:
    return f"{name}-{drawing.name}.svg"


def _pictured(name: str, drawing: Drawing, figures: str) -> str:
    return f"![{drawing.heading}]({figures}/{_file(name, drawing)})\n\n{drawing.caption}"


def _shown(table: Table) -> str:
    return f"{markdown_table(table.heads, table.lines)}\n\n{table.caption}"


def _measured(runs: Sequence[Result]) -> str:
    return " ".join(dict.fromkeys(measured_on(one) + _others(one) for one in runs))


def _others(result: Result) -> str:
    """How many rows come from elsewhere."""
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


def read_runs(results: Path, name: str) -> list[Result]:
    """NAME.json and, of other lengths of streams, NAME_*.json.

    Raises:
        ValueError: if there is none.
    """
    return list(_read(results, name))


def _read(results: Path, name: str) -> Iterator[Result]:
    paths = [results / f"{name}.json", *sorted(results.glob(f"{name}_*.json"))]
    if not paths[0].is_file():
        raise ValueError(f"{paths[0]} is not there: publish a run under this name first")
    for path in paths:
        yield json.loads(path.read_text("utf-8"))
