"""Accuracy and KL by parts of the questions: length of the video, delay since the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, pairwise, product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, cut, qcut

from ..reports.drawing import (
    GRAMMAR,
    MARKERS,
    WIDTH,
    Drawing,
    Style,
    error_bars,
    exact_ticks,
    legend_below,
    legend_height,
    percent_axis,
    tidy_axes,
)
from ..reports.tables import DataTable
from ..reports.text import short
from .measures import ACCURACY, KL

Column = Any  # a pandas Series
MEASURES = (ACCURACY, KL)
DELAYS = (0, 10, 30, 60, 300, 900, 1800, 3600)  # seconds, the lower ends of the parts
MOST_PARTS = 4


@dataclass(frozen=True)
class Breakdown:
    """A way to part the questions of a study.

    Attributes:
        name: of the files.
        heading: what the parts are.
        part: the part of every row, and None for rows of none; parts in their order.
    """

    name: str
    heading: str
    parts: Callable[[DataTable], tuple[Column, list[str]]]


def by_length(column: str) -> Breakdown:
    """By a group of the benchmark that is the video's length, or by the number of frames seen."""
    if column == "frames":
        return Breakdown("length", "by frames seen before the question", _by_frames)
    return Breakdown("length", "by length of the video", lambda rows: _by_group(rows, column))


def by_delay() -> Breakdown:
    """By the time since what answers the question was last shown."""
    return Breakdown("delay", "by delay since the evidence", _by_delay)


def breakdown(
    rows: DataTable,
    how: Breakdown,
    marks: Mapping[str, Style],
    reference: str | None,
    amount: str,
) -> Drawing | None:
    """The cells of all models by the parts; None if fewer than two parts have questions. `amount`
    says what the amounts are of."""
    column, names = how.parts(rows)
    if len(names) < 2:
        return None
    asked = rows.assign(part=column).dropna(subset=["part"])
    table = _measured(asked)
    swept, models = table["amount"].nunique() > 1, table["model"].nunique()

    def draw(figure: Figure) -> None:
        if swept:
            _over_amounts(figure, table, names, marks, reference, amount)
        else:
            _as_dots(figure, table, names, marks)

    height = 1.4 + 0.26 * len(table.groupby(["model", "cell"]))
    if swept:
        height = 2.8 * len(MEASURES) * models + legend_height(len(marks))
    across = "over the amount" if swept else "a line per cell"
    questions = asked.groupby("part", observed=True)["question"].nunique()
    counts = ", ".join(f"{name}: {questions[name]}" for name in names)
    caption = (
        f"Accuracy and KL {how.heading}, {across}, with 95 % intervals (bootstrap over videos, "
        "none where there is one video); the dashed line is the reference, dotted ones are "
        f"memories without an amount. {GRAMMAR} Questions: {counts}."
    )
    return Drawing(how.name, how.heading.capitalize(), caption, (WIDTH, height), draw)


def _measured(asked: DataTable) -> DataTable:
    """A line per model, cell and part: both measures with their intervals."""
    lines = []
    keys = ["model", "family", "cell", "part"]
    for key, own in asked.groupby(keys, sort=False):
        line = {**dict(zip(keys, key, strict=True)), "amount": own["amount"].iloc[0]}
        lines.append(line | ACCURACY.over(own) | KL.over(own))
    return DataFrame(lines)


def _over_amounts(
    figure: Figure,
    table: DataTable,
    names: Sequence[str],
    marks: Mapping[str, Style],
    reference: str | None,
    amount: str,
) -> None:
    """A column of panels per part, the amount along the axis, a line per memory."""
    amounts = sorted(table["amount"].dropna().unique())
    lines = list(product(MEASURES, table["model"].unique()))
    grid = figure.subplots(len(lines), len(names), sharex=True, sharey="row", squeeze=False)
    for row, (measure, model) in zip(grid, lines, strict=True):
        own = table[table["model"] == model]
        for axes, name in zip(row, names, strict=True):
            _lines(axes, own[own["part"] == name], measure.name, marks, reference)
            axes.set_xscale("log")
            exact_ticks(axes, amounts, short)
            axes.set_xlim(amounts[0] / 1.5, amounts[-1] * 1.5)
        several = table["model"].nunique() > 1
        row[0].set_ylabel(f"{model}\n{measure.label}" if several else measure.label)
        if measure is ACCURACY:
            percent_axis(row[0])
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name)
    for axes in grid[-1]:
        axes.set_xlabel(amount)
    shown = set(table["family"])
    legend_below(figure, {name: one.legend() for name, one in marks.items() if name in shown})


def _lines(
    axes: Axes, table: DataTable, column: str, marks: Mapping[str, Style], reference: str | None
) -> None:
    known = table.dropna(subset=[column])
    for name, own in known.groupby("family", sort=False):
        style = marks[str(name)]
        if own["amount"].isna().all():  # fixed memories have no place along the axis
            if name != reference or column != KL.name:
                dashes = "--" if name == reference else ":"
                axes.axhline(
                    own[column].iloc[0], color=style.colour, linestyle=dashes, linewidth=1.2
                )
            continue
        own = own.sort_values("amount")
        bars = error_bars(own, column)
        axes.errorbar(own["amount"], own[column], bars, elinewidth=0.7, capsize=2, **style.line)
    tidy_axes(axes)


def _as_dots(
    figure: Figure, table: DataTable, names: Sequence[str], marks: Mapping[str, Style]
) -> None:
    """A line per model and cell, in the colour of its memory, a marker per part."""
    label = table["cell"]
    if table["model"].nunique() > 1:
        label = table["model"] + ": " + label
    cells, table = list(label.unique()), table.assign(label=label)
    shapes = dict(zip(names, cycle(MARKERS), strict=False))
    panels = figure.subplots(1, len(MEASURES), sharey=True)
    for axes, measure in zip(panels, MEASURES, strict=True):
        known = table.dropna(subset=[measure.name])
        for (family, part), own in known.groupby(["family", "part"], sort=False):
            shift = 0.5 * ((names.index(part) + 0.5) / len(names) - 0.5)
            places = [cells.index(cell) + shift for cell in own["label"]]
            style = replace(marks[family], marker=shapes[part], dashes="none").line
            bars = error_bars(own, measure.name)
            axes.errorbar(own[measure.name], places, xerr=bars, elinewidth=0.8, capsize=2, **style)
        axes.set_xlabel(measure.label)
        tidy_axes(axes)
    panels[0].set_yticks(range(len(cells)), cells)
    panels[0].invert_yaxis()
    parts = {name: Style("0.3", shape, "none").legend() for name, shape in shapes.items()}
    legend_below(figure, parts)


def _by_group(rows: DataTable, column: str) -> tuple[Column, list[str]]:
    """Shorter ones first, by the frames that were seen of them."""
    order = rows.groupby(column, sort=False)["frames"].mean().sort_values(kind="stable").index
    return rows[column].astype(str), [str(name) for name in order]


def _by_frames(rows: DataTable) -> tuple[Column, list[str]]:
    """Up to four parts with about as many questions each."""
    parts: Column = qcut(rows["frames"], MOST_PARTS, duplicates="drop")
    ends = {
        part: f"{part.left + 1:.0f} to {part.right:.0f} frames" for part in parts.cat.categories
    }
    return parts.map(ends), list(ends.values())


def _by_delay(rows: DataTable) -> tuple[Column, list[str]]:
    ends = [*DELAYS, float("inf")]
    labels = [f"{low} to {high} s" for low, high in pairwise(DELAYS)]
    labels.append(f"over {DELAYS[-1]} s")
    parts: Column = cut(rows["delay_s"].astype(float), ends, right=False, labels=labels)
    present = set(parts.dropna())
    return parts.astype(object), [label for label in labels if label in present]
