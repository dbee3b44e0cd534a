"""Accuracy and KL by parts of the questions: length of the video, delay since the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, cut, qcut

from ..reports.drawing import (
    WIDTH,
    Drawing,
    Style,
    drawn,
    error_bars,
    exact_ticks,
    legend_below,
    legend_height,
    percent_axis,
    styles,
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
    model: str, rows: DataTable, how: Breakdown, reference: str | None, amount: str
) -> Drawing | None:
    """One model's cells by the parts; None if fewer than two parts have questions. `amount` says
    what the amounts are of."""
    column, names = how.parts(rows)
    if len(names) < 2:
        return None
    asked = rows.assign(part=column).dropna(subset=["part"])
    table = _measured(asked)
    swept = table["amount"].nunique() > 1
    marks = styles(list(rows["family"].unique()), reference)

    def draw(figure: Figure) -> None:
        if swept:
            _over_amounts(figure, table, names, marks, reference, amount)
        else:
            _as_dots(figure, table, names)

    height = 5.6 + legend_height(len(marks)) if swept else 1.4 + 0.26 * table["cell"].nunique()
    across = "over the amount" if swept else "a line per cell"
    questions = asked.groupby("part", observed=True)["question"].nunique()
    counts = ", ".join(f"{name}: {questions[name]}" for name in names)
    caption = (
        f"Accuracy and KL {how.heading}, {across}, with 95 % intervals (bootstrap over videos, "
        "none where there is one video); the dashed line is the reference, dotted ones are "
        f"memories without an amount. Questions: {counts}."
    )
    heading = f"{model}: {how.heading}"
    return drawn(f"{how.name}-{model}", heading, caption, (WIDTH, height), draw)


def _measured(asked: DataTable) -> DataTable:
    """A line per cell and part: both measures with their intervals."""
    lines = []
    for (family, cell, part), own in asked.groupby(["family", "cell", "part"], sort=False):
        line = {"family": family, "cell": cell, "part": part, "amount": own["amount"].iloc[0]}
        lines.append(line | ACCURACY.over(own) | KL.over(own))
    return DataFrame(lines)


def _over_amounts(
    figure: Figure,
    table: DataTable,
    names: Sequence[str],
    marks: dict[str, Style],
    reference: str | None,
    amount: str,
) -> None:
    """A column of panels per part, the amount along the axis, a line per memory."""
    amounts = sorted(table["amount"].dropna().unique())
    grid = figure.subplots(len(MEASURES), len(names), sharex=True, sharey="row", squeeze=False)
    for line, measure in zip(grid, MEASURES, strict=True):
        for axes, name in zip(line, names, strict=True):
            _lines(axes, table[table["part"] == name], measure.name, marks, reference)
            axes.set_xscale("log")
            exact_ticks(axes, amounts, short)
            axes.set_xlim(amounts[0] / 1.5, amounts[-1] * 1.5)
        line[0].set_ylabel(measure.label)
    percent_axis(grid[0, 0])
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name)
    for axes in grid[-1]:
        axes.set_xlabel(amount)
    legend_below(figure, {name: style.legend() for name, style in marks.items()})


def _lines(
    axes: Axes, table: DataTable, column: str, marks: dict[str, Style], reference: str | None
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


def _as_dots(figure: Figure, table: DataTable, names: Sequence[str]) -> None:
    """A line per cell, a colour per part."""
    cells = list(table["cell"].unique())
    marks = styles(names, None)
    panels = figure.subplots(1, len(MEASURES), sharey=True)
    for axes, measure in zip(panels, MEASURES, strict=True):
        for number, name in enumerate(names):
            own = table[table["part"] == name].dropna(subset=[measure.name])
            shift = 0.5 * ((number + 0.5) / len(names) - 0.5)
            places = [cells.index(cell) + shift for cell in own["cell"]]
            style = marks[name].line | {"linestyle": "none", "elinewidth": 0.8, "capsize": 2}
            bars = error_bars(own, measure.name)
            axes.errorbar(own[measure.name], places, xerr=bars, **style)
        axes.set_xlabel(measure.label)
        tidy_axes(axes)
    panels[0].set_yticks(range(len(cells)), cells)
    panels[0].invert_yaxis()
    legend_below(figure, {name: style.legend() for name, style in marks.items()})


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
