"""Accuracy and KL against what a cell costs, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from ..reports.drawing import (
    WIDTH,
    Drawing,
    Style,
    drawn,
    error_bars,
    legend_below,
    legend_height,
    percent_axis,
    styles,
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
Marks = Mapping[tuple[str, str], Style]


def tradeoff(model: str, cells: DataTable, reference: str | None) -> Drawing:
    """One model's cells: two measures by three costs."""
    caption = (
        "Points are cells with their 95 % intervals (bootstrap over videos); lines join a memory's "
        "amounts. The grey band joins the Pareto front: the cells that nothing as cheap is better "
        "than, the reference left out. The black star and the dashed line are the reference. "
        "FLOPs are the decoder's for the whole video, without vision; the state is what later "
        "frames attend to (a cell that holds none stands at the left edge); time is of decoder and "
        "memory. A KL below 1e-7 is drawn there."
    )
    marks = styles(list(cells["family"].unique()), reference)
    by_model = {(model, name): style for name, style in marks.items()}

    def draw(figure: Figure) -> None:
        _panels(figure, cells, (ACCURACY, KL), by_model, reference)
        legend_below(figure, _entries(marks))

    height = 6.2 + legend_height(len(marks) + 1)
    heading = f"{model}: accuracy and closeness to full attention against cost"
    return drawn(f"tradeoff-{model}", heading, caption, (WIDTH, height), draw)


def across_models(cells: DataTable, reference: str | None) -> Drawing:
    """All models: accuracy by three costs, a colour per model, a marker per memory."""
    models, names = list(cells["model"].unique()), list(cells["family"].unique())
    colours = {name: style.colour for name, style in styles(models, None).items()}
    shapes = {name: style.marker for name, style in styles(names, reference).items()}
    marks = {pair: Style(colours[pair[0]], shapes[pair[1]]) for pair in product(models, names)}

    def draw(figure: Figure) -> None:
        _panels(figure, cells, (ACCURACY,), marks, None)
        entries = {model: _mark(Style(colour, "")) for model, colour in colours.items()}
        entries |= {name: _mark(Style("0.3", shape), "none") for name, shape in shapes.items()}
        legend_below(figure, entries)

    caption = (
        "As above, for all models: whether a larger model with a small memory beats a smaller one "
        "with full attention at equal cost. Colours are models, markers memories. The grey band "
        "joins the Pareto front of all cells, full attention among them."
    )
    height = 3.4 + legend_height(len(models) + len(names))
    return drawn("tradeoff", "All models: accuracy against cost", caption, (WIDTH, height), draw)


_ERRORS: dict[str, Any] = {
    "linewidth": 1.4,
    "elinewidth": 0.8,
    "capsize": 2,
    "markersize": 5.5,
    "alpha": 0.9,
}


def _panels(
    figure: Figure,
    cells: DataTable,
    measures: Sequence[Measure],
    marks: Marks,
    reference: str | None,
) -> None:
    """A line of panels per measure, a column per cost, with marks by model and memory; the
    reference is drawn as a line, and no part of the front."""
    cells = scaled(cells)
    grid = figure.subplots(len(measures), len(COSTS), sharey="row", sharex="col", squeeze=False)
    for line, measure in zip(grid, measures, strict=True):
        for axes, (cost, _, unit, _) in zip(line, COSTS, strict=True):
            _panel(axes, cells, cost, measure, marks, reference)
            _formatted(axes, unit, cells[cost])
        line[0].set_ylabel(measure.label)
    percent_axis(grid[0, 0])
    for axes, (_, label, _, _) in zip(grid[-1], COSTS, strict=True):
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
        style: dict[str, Any] = {"color": mark.colour, "marker": mark.marker}
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


def _entries(marks: dict[str, Style]) -> dict[str, Any]:
    band = Line2D([], [], **{**FRONT, "alpha": 0.6})
    return {**{name: _mark(style) for name, style in marks.items()}, "Pareto front": band}


def _mark(style: Style, line: Any = "solid") -> Any:
    size = 10 if style.marker == "*" else 6
    return Line2D(
        [], [], color=style.colour, marker=style.marker or None, linestyle=line, markersize=size
    )
