"""Accuracy and KL against what a cell costs, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator
from pandas import concat

from ..reports.drawing import (
    GRAMMAR,
    MARKERS,
    WIDTH,
    Drawing,
    Style,
    error_bars,
    legend_below,
    legend_height,
    percent_axis,
    tidy_axes,
)
from ..reports.tables import DataTable
from .measures import ACCURACY, KL, Measure

# Column of the cells, label, unit and how many of it the column counts.
COSTS = (
    ("decoder_flops", "decoder FLOPs per question's video", "FLOP", 1.0),
    ("state_bytes", "state held for later frames", "B", 1.0),
    ("decoder_ms_per_frame", "decoder time per frame", "s", 1e-3),
)
KL_FLOOR = 1e-7  # as good as none; a logarithmic axis has no zero
KL_ROOM = 5.0  # below the smallest KL, for its interval
FRONT = {"color": "0.55", "linewidth": 5.0, "alpha": 0.45, "zorder": 1, "solid_capstyle": "round"}
Marks = Mapping[tuple[str, str], Style]  # by model and memory
Lines = Sequence[tuple[str, DataTable, Measure]]  # of panels: label, cells, measure


def tradeoff(cells: DataTable, marks: Mapping[str, Style], reference: str | None) -> Drawing:
    """Two measures by three costs, a line of panels for each model."""
    caption = (
        "Points are cells with their 95 % intervals (bootstrap over videos); lines join a memory's "
        "amounts. The grey band joins the Pareto front: the cells that nothing as cheap is better "
        "than, the reference left out. The star and the dashed line are the reference. "
        f"{GRAMMAR} "
        "FLOPs are the decoder's for the whole video, without vision; the state is what later "
        "frames attend to (a cell that holds none stands at the left edge); time is of decoder and "
        "memory. A KL below 1e-7 is drawn there."
    )
    models = list(cells["model"].unique())
    lines = [
        (f"{model}\n{measure.label}" if len(models) > 1 else measure.label, own, measure)
        for measure in (ACCURACY, KL)
        for model, own in cells.groupby("model", sort=False)
    ]
    by_model = {(model, name): marks[name] for model, name in product(models, marks)}

    def draw(figure: Figure) -> None:
        _panels(figure, lines, by_model, reference)
        legend_below(figure, _entries(marks))

    height = 3.1 * len(lines) + legend_height(len(marks) + 1)
    heading = "Accuracy and closeness to full attention against cost"
    return Drawing("tradeoff", heading, caption, (WIDTH, height), draw)


def across_models(cells: DataTable, marks: Mapping[str, Style]) -> Drawing:
    """All models in the same panels: accuracy by three costs, a marker per model."""
    models, names = list(cells["model"].unique()), list(cells["family"].unique())
    shapes = dict(zip(models, cycle(MARKERS), strict=False))
    by_model = {
        (model, name): replace(marks[name], marker=shapes[model])
        for model, name in product(models, names)
    }

    def draw(figure: Figure) -> None:
        _panels(figure, [(ACCURACY.label, cells, ACCURACY)], by_model, None)
        entries = {model: _mark(Style("0.3", shape), "none") for model, shape in shapes.items()}
        entries |= {name: _mark(replace(marks[name], marker="")) for name in names}
        legend_below(figure, entries)

    caption = (
        "As above, for all models: whether a larger model with a small memory beats a smaller one "
        "with full attention at equal cost. Markers are models, colours and lines memories. The "
        "grey band joins the Pareto front of all cells, full attention among them."
    )
    height = 3.4 + legend_height(len(models) + len(names))
    heading = "All models: accuracy against cost"
    return Drawing("across-models", heading, caption, (WIDTH, height), draw)


_ERRORS: dict[str, Any] = {
    "linewidth": 1.4,
    "elinewidth": 0.8,
    "capsize": 2,
    "markersize": 5.5,
    "alpha": 0.9,
}


def _panels(figure: Figure, lines: Lines, marks: Marks, reference: str | None) -> None:
    """A line of panels per measure and table, a column per cost, with marks by model and memory;
    the reference is drawn as a line, and no part of the front."""
    grid = figure.subplots(len(lines), len(COSTS), sharey="row", sharex="col", squeeze=False)
    for row, (label, cells, measure) in zip(grid, lines, strict=True):
        cells = scaled(cells)
        for axes, (cost, _, _, _) in zip(row, COSTS, strict=True):
            _panel(axes, cells, cost, measure, marks, reference)
        row[0].set_ylabel(label)
        if measure is ACCURACY:
            percent_axis(row[0])
    everything = scaled(concat(cells for _, cells, _ in lines))
    for axes, (cost, label, unit, _) in zip(grid[-1], COSTS, strict=True):
        _formatted(axes, unit, everything[cost])
        axes.set_xlabel(label)


def _panel(
    axes: Axes, cells: DataTable, cost: str, measure: Measure, marks: Marks, reference: str | None
) -> None:
    column = measure.name
    known = cells.dropna(subset=[cost, column])
    if measure is KL:
        known = known[known["cell"] != reference].copy()
        ends = [column, f"{column}_low", f"{column}_high"]
        known[ends] = known[ends].clip(lower=KL_FLOOR)
        axes.set_yscale("log")
    _draw_front(axes, known[known["cell"] != reference], cost, measure)
    for (model, name), own in known.groupby(["model", "family"], sort=False):
        own, mark = own.sort_values(cost), marks[str(model), str(name)]
        style: dict[str, Any] = {
            "color": mark.colour, "marker": mark.marker, "linestyle": mark.dashes
        }  # fmt: skip
        if name == reference:
            axes.axhline(own[column].iloc[0], color="black", linewidth=0.8, linestyle="--")
            style |= {"markersize": 11, "zorder": 5}
        bars = error_bars(own, column)
        axes.errorbar(own[cost], own[column], bars, **{**_ERRORS, **style})
    if measure is KL and len(known):
        # Intervals may reach down to next to nothing and would squeeze all points together.
        axes.set_ylim(bottom=known[column].min() / KL_ROOM)
    tidy_axes(axes)


def _draw_front(axes: Axes, cells: DataTable, cost: str, measure: Measure) -> None:
    """A band through the cells that nothing beats; one alone is a dot."""
    values = cells[measure.name] if measure.more else -cells[measure.name]
    best = cells.iloc[front(list(cells[cost]), list(values))]
    x, y = best[cost], best[measure.name]
    axes.plot(x, y, **FRONT)
    axes.scatter(x, y, s=110, color="0.55", alpha=0.45, zorder=1, linewidth=0)


def front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of the points that no other point beats, by rising cost.

    A point is beaten by one that costs no more and is worth no less, and differs in one of them;
    of equal points all stay.
    """
    points = list(zip(costs, values, strict=True))
    order = sorted(range(len(points)), key=lambda place: (costs[place], -values[place]))
    best: list[int] = []
    for place in order:
        if not best or values[place] > values[best[-1]] or points[place] == points[best[-1]]:
            best.append(place)
    return best


def scaled(cells: DataTable) -> DataTable:
    """Costs in their units, and those of nothing at half of the smallest, on a logarithmic axis."""
    cells = cells.copy()
    for name, _, _, factor in COSTS:
        cost = cells[name].astype(float) * factor
        least = cost[cost > 0].min()
        cells[name] = cost.where(cost > 0, least / 2).where(cost.notna())
    return cells


def _formatted(axes: Axes, unit: str, costs: Any) -> None:
    """A logarithmic axis, unless the costs hardly differ."""
    axes.xaxis.set_major_formatter(EngFormatter(unit=unit))
    axes.tick_params("x", labelsize=8.5)
    low, high = float(costs.min()), float(costs.max())
    if high < 2 * low:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        return
    axes.set_xscale("log")
    # Two decades have too few powers of ten to read.
    subs = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(unit=unit))


def _entries(marks: Mapping[str, Style]) -> dict[str, Any]:
    band = Line2D([], [], **{**FRONT, "alpha": 0.6})
    return {**{name: _mark(style) for name, style in marks.items()}, "Pareto front": band}


def _mark(style: Style, line: Any = None) -> Any:
    size, line = 10 if style.marker == "*" else 6, line or style.dashes
    return Line2D(
        [], [], color=style.colour, marker=style.marker or None, linestyle=line, markersize=size
    )
