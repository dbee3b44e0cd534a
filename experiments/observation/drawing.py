"""How evidence is drawn with matplotlib: curves per layer coloured by depth, means, shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from ..reports.drawing import COLOURS, exact_ticks, legend_below, tidy_axes, whole_numbers
from ..reports.tables import DataTable
from .by_frame import PARTS
from .tables import means

MARKERS = ("o", "s", "^", "D")
PART_COLOURS = ("#0072B2", "#56B4E9", "#DDDDDD", "#E69F00", "#000000")
MEAN: dict[str, Any] = {
    "color": "black",
    "linewidth": 2,
    "linestyle": "--",
    "marker": "o",
    "markersize": 4,
}


def by_depth(label: str, titles: Mapping[str, str]) -> Callable[[Figure, DataTable], None]:
    """What draws curves per layer over capacity, two panels a row, by the title of each column; the
    label is of the shares that all panels show."""

    def draw(figure: Figure, rows: DataTable) -> None:
        panels = _panels(figure, len(titles) // 2, label)
        for axes, (column, title) in zip(panels, titles.items(), strict=True):
            _by_depth(axes, rows, column, title)
        _with_depth(figure, rows, panels[0])

    return draw


STATES = {"captured": "best tokens in hindsight", "captured_rolled": "rolled-out state"}
captured = by_depth("captured historical mass", STATES)
weighted_recall = by_depth(
    "weighted recall",
    {
        "weighted_recall": "oracle's state, all tokens",
        "weighted_recall_rolled": "rolled-out state, all tokens",
        "weighted_recall_past": "oracle's state, earlier frames only",
        "weighted_recall_rolled_past": "rolled-out state, earlier frames only",
    },
)


def turnover(figure: Figure, rows: DataTable) -> None:
    """Retention and churn over capacity, means over layers."""
    panels = _panels(figure, 1, "share of the state")
    states = {
        "": "oracle, all tokens",
        "_past": "oracle, earlier frames only",
        "_rolled": "rolled out, all tokens",
        "_rolled_past": "rolled out, slots that outlived their frame",
    }
    mean, per_layer = means(rows, ["capacity"]), means(rows, ["layer", "capacity"])
    for axes, measure in zip(panels, ("retention", "churn"), strict=True):
        for _, own in per_layer.groupby("layer"):
            axes.plot(own["capacity"], own[measure], color="0.85", linewidth=0.8, zorder=1)
        _lines(axes, mean, "capacity", {measure + suffix: text for suffix, text in states.items()})
        axes.set_title(measure)
    _with_legend(figure, panels[0])


def over_time(figure: Figure, rows: DataTable) -> None:
    """Captured mass over frames, per capacity."""
    panels = _panels(figure, 1, "captured historical mass")
    mean = means(rows, ["capacity", "frame"])
    capacities = sorted(mean["capacity"].unique())
    for axes, (column, title) in zip(panels, STATES.items(), strict=True):
        for colour, capacity in zip(_ramp(len(capacities)), capacities, strict=True):
            own = mean[mean["capacity"] == capacity]
            axes.plot(own["frame"] + 1, own[column], color=colour, label=f"B = {capacity:,}")
        axes.set_title(title)
        whole_numbers(axes.xaxis)
        axes.set_xlabel("frames seen")
    _with_legend(figure, panels[0])


def recency(figure: Figure, table: DataTable) -> None:
    """Captured mass of the last frames beside as many best tokens, and the gap."""
    shares, gap = _panels(figure, 1, "captured historical mass")
    curves = {
        "captured_best": "as many best tokens",
        "captured_recent_sinks": "last R frames and first 4 tokens",
        "captured_recent": "last R frames",
    }
    _lines(shares, means(table, ["recent_frames"]), "recent_frames", curves)
    shares.set_title("mean over layers")
    _by_depth(gap, table, "gap", "best tokens minus last R frames", over="recent_frames")
    gap.set_ylabel("gap in captured mass")
    for axes in (shares, gap):
        axes.set_xlabel("recent frames R")
    handles = shares.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=len(curves), frameon=False)
    _with_depth(figure, table, gap)


def where_mass_goes(figure: Figure, parts: DataTable, distances: DataTable) -> None:
    """Mass by part of the stream, and by distance in frames."""
    bars, heat = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.35))
    _draw_parts(bars, means(parts, ["layer", "part"]))
    figure.legend(loc="outside upper left", ncols=len(PARTS), frameon=False)
    _draw_distances(heat, means(distances, ["layer", "distance"]))


def _draw_parts(axes: Axes, parts: DataTable) -> None:
    table = parts.pivot(index="layer", columns="part", values="share")
    left = 0 * table[PARTS[0]]
    for part, colour in zip(PARTS, PART_COLOURS, strict=True):
        if part == "prompt" and not table[part].any():
            continue  # the model has no prompt before the video
        axes.barh(table.index, table[part], left=left, height=0.85, color=colour, label=part)
        left = left + table[part]
    axes.set(xlim=(0, 1), xlabel="share of attention mass", ylabel="layer (0: next to the input)")
    axes.set_title("by part of the stream")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    whole_numbers(axes.yaxis)


def _draw_distances(axes: Axes, distances: DataTable) -> None:
    table = distances.pivot(index="layer", columns="distance", values="share")
    positive = distances["share"][distances["share"] > 0]
    low, high = float(positive.quantile(0.01)), float(positive.max())
    shown = axes.imshow(
        table.to_numpy(),
        aspect="auto",
        origin="lower",
        cmap="cividis",
        norm=LogNorm(min(low, high / 1.5), high),
        extent=(-0.5, table.shape[1] - 0.5, table.index[0] - 0.5, table.index[-1] + 0.5),
        interpolation="nearest",
    )
    axes.set_xlabel("distance of the frame looked at (0: itself)")
    axes.set_title("by distance, without the first frame")
    whole_numbers(axes.xaxis)
    bar = axes.figure.colorbar(shown, ax=axes, label="share of attention mass", pad=0.02)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))


def _panels(figure: Figure, rows: int, label: str) -> Sequence[Axes]:
    """Two panels a row for shares from 0 to 1."""
    grid = figure.subplots(rows, 2, squeeze=False, sharey=True)
    for axes in grid.flat:
        axes.set_ylim(-0.02, 1.02)
        tidy_axes(axes)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    return list(grid.flat)


def _by_depth(
    axes: Axes, table: DataTable, column: str, title: str, over: str = "capacity"
) -> None:
    """One curve per layer, dark next to the input, and their mean in black."""
    layers = sorted(table["layer"].unique())
    per_layer, mean = means(table, ["layer", over]), means(table, [over])
    for colour, layer in zip(_ramp(len(layers)), layers, strict=True):
        own = per_layer[per_layer["layer"] == layer]
        axes.plot(own[over], own[column], color=colour, linewidth=1.2)
    axes.plot(mean[over], mean[column], **MEAN)
    axes.set_title(title)
    _logarithmic(axes, mean[over])


def _lines(axes: Axes, table: DataTable, over: str, curves: Mapping[str, str]) -> None:
    """Columns of a table by their labels."""
    for (column, label), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5}
        axes.plot(table[over], table[column], label=label, **style)
    _logarithmic(axes, table[over])


def _logarithmic(axes: Axes, values: Any) -> None:
    axes.set_xscale("log", base=2)
    exact_ticks(axes, values, lambda value: f"{value:,.0f}")
    axes.tick_params("x", labelsize=8.5)
    axes.set_xlabel("capacity B (slots)")


def _ramp(count: int) -> list[Any]:
    """Colours from dark to light, told apart in grey as well; without the palest yellow."""
    return [colormaps["viridis"](0.9 * place / max(count - 1, 1)) for place in range(count)]


def _with_depth(figure: Figure, table: DataTable, explained: Axes) -> None:
    """The scale of depth beside all panels, and the mean explained in one of them."""
    first, last = int(table["layer"].min()), int(table["layer"].max())
    colours = LinearSegmentedColormap.from_list("depth", _ramp(64))
    scale = ScalarMappable(Normalize(first, max(last, first + 1)), colours)
    bar = figure.colorbar(scale, ax=figure.axes, label="layer (0: next to the input)", pad=0.02)
    whole_numbers(bar.ax.yaxis)
    mean = Line2D([], [], **MEAN)
    explained.legend([mean], ["mean over layers"], loc="best", frameon=False)


def _with_legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    legend_below(figure, dict(zip(labels, handles, strict=True)))
