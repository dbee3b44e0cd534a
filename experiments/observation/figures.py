"""Figures of evidence with matplotlib: per-layer curves coloured by depth, and where mass goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..figures import COLOURS
from .by_frame import PARTS
from .tables import Tables, means

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

SHARE = "share of attention mass"
MEAN: dict[str, Any] = {"color": "black", "linewidth": 2, "linestyle": "--", "marker": "o", "markersize": 4}


@dataclass(frozen=True)
class Drawn:
    """A finished figure: `name` of its files, heading and caption of the page; `level` of the mass
    it shows, None where it is drawn once."""

    name: str
    heading: str
    caption: str
    figure: Figure
    level: str | None = None


def figures_of(tables: Tables) -> list[Drawn]:
    """All figures; those per level once for each."""
    from matplotlib import rc_context

    with rc_context({"font.size": 9.5, "axes.titlesize": 10.5, "axes.titlelocation": "left"}):
        drawn: list[Drawn] = []
        for level, words in (("layer", ""), ("head", ", per KV head")):
            rows = tables.rows[tables.rows["level"] == level]
            recency = tables.recency[tables.recency["level"] == level]
            drawn += [
                Drawn(f"{name}_{level}", heading + words, caption, draw(table), level)
                for name, heading, caption, draw, table in _leveled(rows, recency)
                if len(table)
            ]
        drawn.append(_where_mass_goes(tables))
    return drawn


def _leveled(
    rows: DataFrame, recency: DataFrame
) -> list[tuple[str, str, str, Callable[[DataFrame], Figure], DataFrame]]:
    """Name, heading, caption, how it is drawn, and from what."""
    return [
        (
            "captured_mass",
            "Captured historical mass",
            "Share of the mass on earlier frames that falls on B tokens (eq. 9). Left: the best B "
            "in hindsight, the paper's figure 6. Right: the B that a memory would really hold, "
            "chosen at every frame from its own last state and that frame.",
            _captured,
            rows,
        ),
        (
            "weighted_recall",
            "Weighted recall",
            "Share of the wanted tokens' mass that a memory of B slots can still reach (eq. 12). "
            "Top left is the paper's figure 7: its state is the oracle of the frame before, and the "
            "frame's own tokens count. Right: with the rolled-out state, in which errors add up. "
            "Bottom: earlier frames' tokens alone, both wanted and held.",
            _recall,
            rows,
        ),
        (
            "retention_churn",
            "Retention and churn",
            "Left: share of the last frame's state that stayed. Right: share of this frame's state "
            "that is new (eq. 13). Lines are means over layers, faint ones the oracle's layers.",
            _turnover,
            rows,
        ),
        (
            "over_time",
            "Captured mass over the video",
            "Mean over layers by frame. If the number of tokens that matter does not grow with the "
            "video, these lines become flat. Left: the best B in hindsight. Right: the rolled-out "
            "state.",
            _over_time,
            rows,
        ),
        (
            "recency_gap",
            "Beside the last frames",
            "Left: historical mass captured by the last R frames, by them and the first 4 tokens, "
            "and by as many best tokens; means over layers. Right: best tokens minus last frames, "
            "per layer (appendix 0.A.3).",
            _recency,
            recency,
        ),
    ]


def _captured(rows: DataFrame) -> Figure:
    figure, (best, rolled) = _panels(1, 2, "captured historical mass")
    _by_depth(best, rows, "captured", "best tokens in hindsight")
    _by_depth(rolled, rows, "captured_rolled", "rolled-out state")
    return _with_depth(figure, rows)


def _recall(rows: DataFrame) -> Figure:
    figure, panels = _panels(2, 2, "weighted recall")
    for axes, column, title in zip(
        panels,
        (
            "weighted_recall",
            "weighted_recall_rolled",
            "weighted_recall_past",
            "weighted_recall_rolled_past",
        ),
        (
            "oracle's state, all tokens",
            "rolled-out state, all tokens",
            "oracle's state, earlier frames only",
            "rolled-out state, earlier frames only",
        ),
        strict=True,
    ):
        _by_depth(axes, rows, column, title)
    return _with_depth(figure, rows)


def _turnover(rows: DataFrame) -> Figure:
    figure, panels = _panels(1, 2, "share of the state")
    curves = {
        "": "oracle, all tokens",
        "_past": "oracle, earlier frames only",
        "_rolled": "rolled out, all tokens",
        "_rolled_past": "rolled out, slots that outlived their frame",
    }
    mean = means(rows, ["capacity"])
    for axes, measure in zip(panels, ("retention", "churn"), strict=True):
        for _, own in means(rows, ["layer", "capacity"]).groupby("layer"):
            axes.plot(own["capacity"], own[measure], color="0.85", linewidth=0.8, zorder=1)
        for (suffix, label), colour, marker in zip(curves.items(), COLOURS, "os^D", strict=False):
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5}
            axes.plot(mean["capacity"], mean[measure + suffix], label=label, **style)
        _over_capacity(axes, mean["capacity"])
        axes.set_title(measure)
    return _with_legend(figure)


def _over_time(rows: DataFrame) -> Figure:
    figure, panels = _panels(1, 2, "captured historical mass")
    mean = means(rows, ["capacity", "frame"])
    capacities = sorted(mean["capacity"].unique())
    for axes, column, title in zip(
        panels,
        ("captured", "captured_rolled"),
        ("best tokens in hindsight", "rolled-out state"),
        strict=True,
    ):
        for colour, capacity in zip(_ramp(len(capacities)), capacities, strict=True):
            own = mean[mean["capacity"] == capacity]
            axes.plot(own["frame"] + 1, own[column], color=colour, label=f"B = {capacity:,}")
        axes.set_xlabel("frames seen")
        axes.set_title(title)
    return _with_legend(figure)


def _recency(recency: DataFrame) -> Figure:
    figure, (shares, gap) = _panels(1, 2, "captured historical mass")
    mean = means(recency, ["recent_frames"])
    curves = {
        "captured_best": "as many best tokens",
        "captured_recent_sinks": "last R frames and first 4 tokens",
        "captured_recent": "last R frames",
    }
    for (column, label), colour, marker in zip(curves.items(), COLOURS, "os^", strict=False):
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5}
        shares.plot(mean["recent_frames"], mean[column], label=label, **style)
    _by_depth(gap, recency, "gap", "best tokens minus last R frames", over="recent_frames")
    gap.set_ylabel("gap in captured mass")
    gap.set_ylim(min(0.0, *recency["gap"].clip(lower=-1)) - 0.02, 1.02)
    for axes in (shares, gap):
        _over_capacity(axes, mean["recent_frames"], "recent frames R")
    shares.set_title("mean over layers")
    figure.legend(*shares.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    return _with_depth(figure, recency, gap)


def _where_mass_goes(tables: Tables) -> Drawn:
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    bars, heat = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.35))
    layers = sorted(tables.parts["layer"].unique())
    table = means(tables.parts, ["layer", "part"]).pivot(index="layer", columns="part", values="share")
    left = table[PARTS[0]] * 0
    palette = ("#0072B2", "#56B4E9", "#DDDDDD", "#E69F00", "#000000")
    for part, colour in zip(PARTS, palette, strict=True):
        if part == "prompt" and not table[part].any():
            continue
        bars.barh(layers, table[part], left=left, height=0.85, color=colour, label=part)
        left = left + table[part]
    bars.set_xlim(0, 1)
    bars.set_xlabel(SHARE)
    bars.set_ylabel("layer")
    bars.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=5, frameon=False)
    distance = means(tables.distances, ["layer", "distance"])
    image = distance.pivot(index="layer", columns="distance", values="share")
    positive = distance["share"][distance["share"] > 0]
    shown = heat.imshow(
        image.to_numpy(),
        aspect="auto",
        origin="lower",
        cmap="cividis",
        norm=LogNorm(vmin=float(positive.quantile(0.01)), vmax=float(positive.max())),
        extent=(-0.5, image.shape[1] - 0.5, layers[0] - 0.5, layers[-1] + 0.5),
        interpolation="nearest",
    )
    heat.set_xlabel("distance of the frame looked at (0: itself)")
    heat.xaxis.set_major_locator(MaxNLocator(integer=True))
    heat.set_title("by distance, without the first frame")
    bars.set_title("by part of the stream")
    colours = figure.colorbar(shown, ax=heat, label=SHARE, pad=0.02)
    for axis in (colours.ax.yaxis, bars.xaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    colours.ax.yaxis.set_minor_formatter(PercentFormatter(1.0, decimals=None))
    return Drawn(
        "where_mass_goes",
        "Where the mass goes",
        "Left: shares of the mass of a frame's queries by what they look at, per layer. Right: by "
        "the distance of the frame looked at, on a logarithmic colour scale; the first frame is "
        "left out, because at distance d it would stand for one frame alone.",
        figure,
    )


def _panels(rows: int, columns: int, label: str) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 0.6 + 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat:
        axes.set_ylim(-0.02, 1.02)
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    return figure, list(grid.flat)


def _by_depth(
    axes: Axes, table: DataFrame, column: str, title: str, over: str = "capacity"
) -> None:
    """One curve per layer, dark near the input, and their mean in black."""
    layers = sorted(table["layer"].unique())
    per_layer = means(table, ["layer", over])
    for colour, layer in zip(_ramp(len(layers)), layers, strict=True):
        own = per_layer[per_layer["layer"] == layer]
        axes.plot(own[over], own[column], color=colour, linewidth=1.2)
    mean = means(table, [over])
    axes.plot(mean[over], mean[column], **MEAN)
    axes.set_title(title)
    _over_capacity(axes, mean[over])


def _over_capacity(axes: Axes, values: Any, label: str = "capacity B (slots)") -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params("x", labelsize=8.5)
    axes.set_xlabel(label)


def _ramp(count: int) -> list[Any]:
    """Colours from dark to light, told apart in grey as well; without the palest yellow."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.9 * place / max(count - 1, 1)) for place in range(count)]


def _with_depth(figure: Figure, table: DataFrame, explained: Axes | None = None) -> Figure:
    """The scale of depth beside all panels, and the mean explained in one, by default the first."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    layers = sorted(table["layer"].unique())
    colours = LinearSegmentedColormap.from_list("depth", _ramp(64))
    scale = ScalarMappable(Normalize(layers[0], max(layers[-1], layers[0] + 1)), colours)
    bar = figure.colorbar(scale, ax=figure.axes, label="layer (0: next to the input)", pad=0.02)
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    mean = Line2D([], [], **MEAN)
    (explained or figure.axes[0]).legend([mean], ["mean over layers"], loc="best", frameon=False)
    return figure


def _with_legend(figure: Figure) -> Figure:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = min(len(labels), 4)
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False)
    return figure
