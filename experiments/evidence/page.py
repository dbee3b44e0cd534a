"""A run's page, figures and summary, made from what lies in its folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from ..evaluation.folder import CONFIG, cell_hashes, read_json, write_json
from ..evaluation.rows import read_rows
from ..reports.page import web_page
from ..reports.tables import Table
from .clip_measures import aged, answered, clip_measures, learnt, tasks_in
from .clip_table import ages_table, answers_tables, clip_sizes_tables
from .comparisons import against, compared_rules, mean, rivals_in
from .measures import COPIES, MEASURES, OTHERS, PROSE_KL, SCENE_AGES
from .results import Line, Results
from .table import cost_table, names, prose_table, sizes_tables, suites_table

if TYPE_CHECKING:
    from ..reports.drawing import Drawing

PAGE = "report.html"
SUMMARY = "summary.json"
NEEDED = ("cells", "reference", "half", "model")
INTERVAL = re.compile(r"\(([+-][\d.]+ to [+-][\d.]+)\)")


def read_results(folder: Path) -> Results:
    """The rows of a run with its configuration.

    Raises:
        ValueError: for a folder without rows, or with changed ones.
    """
    remedy = "give the folder of a run of crossframe evidence"
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} has no {CONFIG}: {remedy}")
    config = read_json(folder / CONFIG, remedy)
    lacking = [name for name in NEEDED if name not in config]
    if lacking or not isinstance(config["cells"], dict):
        raise ValueError(
            f"{folder / CONFIG} says nothing of {', '.join(lacking) or 'cells'}: {remedy}"
        )
    rows = read_rows(folder, cell_hashes(config))
    if not rows:
        raise ValueError(f"{folder} has no rows yet: run crossframe evidence first")
    return Results(rows, config)


def write_page(results: Results, folder: Path) -> Path:
    """Figures, summary.json and the page, into the run's folder; the path of the page."""
    from ..reports.drawing import write_figures

    figures = {size: list(drawings(results, size)) for size in results.by_size()}
    overall = list(overall_drawings([results]))
    write_figures(chain(overall, *figures.values()), folder)
    write_json(folder / SUMMARY, summary(results))
    page = folder / PAGE
    parts = [(overall_tables(results), overall)]
    parts += [(tables(results, size), drawn) for size, drawn in figures.items()]
    page.write_text(_page(results, parts), "utf-8")
    return page


def tables(results: Results, size: int | None) -> Iterator[Table]:
    """Those of one size."""
    if tasks_in(results):
        yield from answers_tables(results, size)
        yield from (ages_table(results, task, size) for task in aged(results))
    if "prose" in results.suites:
        yield prose_table(results, size)
    if any(results.has(measure) for measure in OTHERS):
        yield suites_table(results, size)
    yield cost_table(results, size)


def overall_tables(results: Results) -> Iterator[Table]:
    """Those over several sizes."""
    if len(results.by_size()) > 1:
        yield from clip_sizes_tables([results]) if tasks_in(results) else sizes_tables([results])


def drawings(results: Results, size: int | None) -> Iterator[Drawing]:
    """Figures of one size, as far as the suites are there."""
    from . import clip_figures, figures
    from .heat_map import heat_map

    lines = results.by_size()[size]
    if any(mean(results, line, PROSE_KL) for line in lines):
        yield figures.ranking(results, size)
    if any(map(results.has, (*COPIES, *SCENE_AGES))):
        yield figures.by_age(results, size)
    if learnt(results) and aged(results):
        yield clip_figures.right_by_age(results, aged(results), size)
    measures = [measure for measure in (PROSE_KL, *OTHERS) if results.has(measure)]
    measures += [answered(task, "archive") for task in learnt(results)]
    if rivals_in(lines) and compared_rules(results, lines) > 0 and len(measures) > 1:
        yield heat_map(results, measures, size)


def overall_drawings(runs: Sequence[Results]) -> Iterator[Drawing]:
    """Figures over several sizes of one or more runs."""
    from . import clip_figures, figures

    several = [one for one in runs if len(one.by_size()) > 1 and figures.has_curves(one)]
    if several:
        yield figures.kl_by_bytes(several)
    of_clips = [one for one in runs if len(one.by_size()) > 1 and learnt(one)]
    if of_clips:
        yield clip_figures.right_by_bytes(of_clips)


def summary(results: Results) -> Mapping[str, Any]:
    """Means of all measures, and differences to every rival with their verdicts."""
    sizes = {str(size or "all"): lines for size, lines in results.by_size().items()}
    return {
        "config": results.config,
        "streams": {suite: results.streams(suite) for suite in results.suites},
        "sizes": {size: _summed(results, lines) for size, lines in sizes.items()},
    }


def _summed(results: Results, lines: list[Line]) -> Mapping[str, Any]:
    called = names(results, lines)
    measures = [*filter(results.has, MEASURES), *filter(results.has, clip_measures(results))]
    rows: dict[str, dict[str, Any]] = {
        called[line]: {
            "cells": line.cells,
            "state_bytes": line.state_bytes,
            **{m.name: mean(results, line, m) for m in measures},
        }
        for line in lines
    }
    for rival in rivals_in(lines):
        for measure in measures:
            for line, one in against(results, lines, rival, measure).items():
                to = rows[called[line]].setdefault("against", {}).setdefault(rival.label, {})
                to[measure.name] = asdict(one)
    return rows


def _page(results: Results, parts: Sequence[tuple[Iterator[Table], Sequence[Drawing]]]) -> str:
    config = results.config
    settings = {name: value for name, value in config.items() if name != "cells"}
    counts = ", ".join(f"{results.streams(suite)} {suite}" for suite in results.suites)
    model = config["model"]["init_args"]["model"]
    what = (
        "procedural videos and one tiny model"
        if tasks_in(results)
        else "text and one small decoder, not video"
    )
    about = (
        f"{len(config['cells'])} cells pass streams of {results.length} ({counts}; half "
        f"{config['half']}) on {model}: {what}."
    )
    return web_page(
        "evidence/evidence.html",
        f"Memories on {model}",
        about=about,
        parts=[(map(_with_small_intervals, shown), figures) for shown, figures in parts],
        cells={name: cell["init_args"]["memory"] for name, cell in config["cells"].items()},
        settings=settings,
        environments=_environments(results),
    )


def _environments(results: Results) -> list[tuple[int, Mapping[str, Any]]]:
    """Of all rows, with how many are from there; the commonest first."""
    stamps = [{**row["environment"], "commit": row["commit"]} for row in results.rows]
    by_text = {str(stamp): stamp for stamp in stamps}
    return [(count, by_text[text]) for text, count in Counter(map(str, stamps)).most_common()]


def _with_small_intervals(table: Table) -> Table:
    """Intervals in small print below what they are of."""
    small = r"<br><small>\1</small><br>"
    # As str: a substitution in Markup escapes what it puts in.
    lines = [
        [Markup(INTERVAL.sub(small, str(escape(cell)))) for cell in line] for line in table.lines
    ]
    return replace(table, lines=lines)
