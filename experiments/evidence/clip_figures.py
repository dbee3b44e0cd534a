"""Pictures of a run of clips: what is answered right by bytes held, and by the evidence's age."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..reports.drawing import (
    GRAMMAR,
    WIDTH,
    Drawing,
    exact_ticks,
    family_styles,
    legend_below,
    legend_height,
    tidy_axes,
)
from .clip_measures import READINGS, answered, asked_by_age, learnt, overall
from .comparisons import mean, rivals_in
from .figures import LEADING, label_marks, spread_out, suffix
from .results import Line, Measure, Results
from .table import lines_of, names, of_size

Curve = list[tuple[float, float]]


def right_by_bytes(runs: Sequence[Results]) -> Drawing:
    """The mean of learnt tasks against what is held: a row of panels per run, one per reading."""
    panels = [
        (results, reading, _curves(results, overall(learnt(results), reading)))
        for results in runs
        for reading in READINGS
    ]
    labels = list(dict.fromkeys(label for _, _, curves in panels for label in curves))
    marks = label_marks(runs, labels)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(runs), len(READINGS), sharey=True, squeeze=False).flatten()
        for axes, (results, reading, curves) in zip(grid, panels, strict=True):
            for label, points in curves.items():
                axes.plot(*zip(*points, strict=True), label=label, **marks[label].line)
            _full_line(axes, results, reading)
            _held_axis(axes, [held for points in curves.values() for held, _ in points])
            tidy_axes(axes, f"{results.length}, {READINGS[reading]}")
        for axes in grid[:: len(READINGS)]:
            axes.set_ylabel("answered right")
        legend_below(figure, {label: marks[label].legend() for label in labels})

    caption = (
        "Mean over the tasks learnt, against the bytes that later frames attend to, on a "
        f"logarithmic axis. Dashed: full attention. {GRAMMAR}"
    )
    size = (WIDTH, 3.2 * len(runs) + 0.4 + legend_height(len(labels)))
    return Drawing("right-by-bytes", "Answered right by bytes held", caption, size, draw)


def right_by_age(results: Results, tasks: Sequence[str], size: int | None = None) -> Drawing:
    """Tasks by how long ago their evidence passed, a panel each."""
    lines = leading(results, size)
    called = names(results, lines)
    marks = family_styles({called[one]: one.family for one in lines})

    def draw(figure: Figure) -> None:
        grid = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for axes, task in zip(grid, tasks, strict=True):
            measures = [answered(task, "archive", ages) for ages in asked_by_age(results, task)]
            for line in lines:
                values: Any = [mean(results, line, measure) for measure in measures]
                axes.plot(range(len(measures)), values, **marks[called[line]].line)
            axes.set_xticks(range(len(measures)), [measure.head for measure in measures])
            axes.set_xlabel("frames since the evidence")
            tidy_axes(axes, task.replace("_", " "))
        grid[0].set_ylim(-0.03, 1.03)
        grid[0].set_ylabel("answered right")
        legend_below(figure, {called[one]: marks[called[one]].legend() for one in lines})

    caption = f"Share answered right from the whole archive, by the age of the evidence. {GRAMMAR}"
    height = 3.4 + legend_height(len(lines))
    heading = of_size("Answered right by age", size)
    return Drawing(f"right-by-age{suffix(size)}", heading, caption, (WIDTH, height), draw)


def leading(results: Results, size: int | None) -> list[Line]:
    """Full attention, the rivals and the best, `LEADING` of these, in the order of the lines."""
    lines, measure = lines_of(results, size), overall(learnt(results), "archive")
    full = [one for one in lines if results.reference in one.cells]
    rivals = rivals_in(lines)
    rest = [one for one in lines if one not in full]
    rest.sort(key=lambda one: (one not in rivals, -(mean(results, one, measure) or 0)))
    return [one for one in lines if one in (*full, *rest[:LEADING])]


def _curves(results: Results, measure: Measure) -> dict[str, Curve]:
    """(KB, share) over a memory's sizes by label, of the leading ones."""
    curves: dict[str, Curve] = {}
    for line in sorted(results.lines, key=lambda one: one.state_bytes):
        value = mean(results, line, measure)
        if value is not None and line.state_bytes and results.reference not in line.cells:
            curves.setdefault(line.label, []).append((line.state_bytes / 1e3, value))
    rivals = {one.label for one in rivals_in(results.lines)}
    best = sorted(curves, key=lambda name: (name not in rivals, -max(v for _, v in curves[name])))
    return {label: points for label, points in curves.items() if label in best[:LEADING]}


def _full_line(axes: Axes, results: Results, reading: str) -> None:
    full = next(line for line in results.lines if results.reference in line.cells)
    value = mean(results, full, overall(learnt(results), reading))
    if value is not None:
        axes.axhline(value, color="black", linewidth=0.8, linestyle="--")


def _held_axis(axes: Axes, held: Sequence[float]) -> None:
    axes.set_xscale("log")
    exact_ticks(axes, spread_out(sorted(set(held))), lambda kilobytes: f"{kilobytes:.3g}")
    axes.set_xlabel("state, KB per clip")
