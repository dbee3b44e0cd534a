"""Figures of a comparison as inline SVG: what a frame costs, what it adds up to, bytes held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from pandas import DataFrame, Series

from ..reports.drawing import (
    GRAMMAR,
    Drawing,
    Style,
    family_styles,
    legend_below,
    legend_height,
    tidy_axes,
    whole_numbers,
)
from ..reports.tables import DataTable

SIZE = (9.6, 3.7)  # inches
COLUMNS = 4  # of the legend
MARKED = 6  # markers on a curve
LOG_FROM = 30.0  # a largest value this many times the smallest takes a logarithmic axis

Curve = Callable[["DataFrame"], Any]  # one number per row


@dataclass(frozen=True)
class Panel:
    """One axes: a curve of every memory over the frame number."""

    title: str
    unit: str
    curve: Curve
    noisy: bool = False  # drawn faintly as measured, and clearly as a running median


# Name, heading, caption and panels of each figure.
LAYOUT: Sequence[tuple[str, str, str, tuple[Panel, Panel]]] = (
    (
        "frame",
        "Marginal cost per frame",
        "What one more frame costs, by the frame's number. Left: FLOPs of the decoder step "
        "with its attention, by closed form. Right: measured time of decoder and memory; "
        "faint as measured (single slow frames may leave the picture), clear as a running "
        "median. Vision is the same for all memories and left out. A flat line means prefill "
        f"linear in the video's length. {GRAMMAR} Where curves are equal their markers take turns.",
        (
            Panel("Decoder FLOPs per frame", "FLOP", lambda s: s["flops"] / s["frames"]),
            Panel(
                "Decoder time per frame",
                "s",
                lambda s: s["milliseconds"] / s["frames"] / 1e3,
                noisy=True,
            ),
        ),
    ),
    (
        "total",
        "Cumulative cost",
        "The same, summed from the first frame on: the price of the whole video so far.",
        (
            Panel("Decoder FLOPs so far", "FLOP", lambda s: s["flops"].cumsum()),
            Panel("Decoder time so far", "s", lambda s: s["milliseconds"].cumsum() / 1e3),
        ),
    ),
    (
        "bytes",
        "Bytes held",
        "Left: keys and values that later frames attend to (the state). Right: keys and "
        "values of all frames, kept for answering (the archive), room to grow included, "
        "hence the steps.",
        (
            Panel("State", "B", lambda s: s["state_bytes"]),
            Panel("Archive", "B", lambda s: s["archive_bytes"]),
        ),
    ),
)


def figures_of(steps: DataFrame, families: Mapping[str, str] | None = None) -> list[Drawing]:
    """All figures of a comparison.

    Args:
        steps: one row per memory and step, as `Comparison.step_rows`.
        families: of each memory, the class of its innermost rule; None: each is its own.
    """
    known = families or {}
    names = dict.fromkeys(map(str, steps["memory"]))
    styles = family_styles({name: known.get(name, name) for name in names})
    draw = partial(_draw_all, steps=steps, styles=styles)
    return [
        Drawing(name, heading, caption, _size(len(styles)), partial(draw, panels=panels))
        for name, heading, caption, panels in LAYOUT
    ]


def _size(memories: int) -> tuple[float, float]:
    width, height = SIZE
    return width, height + legend_height(memories, COLUMNS) - legend_height(1)


def _draw_all(
    figure: Figure, panels: Sequence[Panel], steps: DataFrame, styles: Mapping[str, Style]
) -> None:
    video: DataTable = steps[steps["frame"] >= 0]
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        _draw(axes, panel, video, styles)
    legend_below(figure, {name: style.legend() for name, style in styles.items()}, COLUMNS)


def _draw(axes: Axes, panel: Panel, video: DataTable, styles: Mapping[str, Style]) -> None:
    shown: list[Any] = []
    for number, (name, style) in enumerate(styles.items()):
        own = video[video["memory"] == name]
        frames, values = own["frame"] + own["frames"], panel.curve(own).to_numpy()
        if panel.noisy:
            axes.plot(frames, values, color=style.colour, alpha=0.2, linewidth=0.8)
            values = _running_median(values)
        # Markers of the curves one behind the other, so that equal ones can all be seen.
        every = max(1, -(-len(values) // MARKED))
        start = min(number * every // len(styles), len(values) - 1)
        axes.plot(frames, values, markevery=(start, every), **style.line)
        shown.append(values)
    _set_scale(axes, shown)
    axes.set_xlabel("frame")
    whole_numbers(axes.xaxis)
    axes.yaxis.set_major_formatter(EngFormatter(unit=panel.unit))
    tidy_axes(axes, panel.title)


def _running_median(values: Any) -> Any:
    window = max(5, len(values) // 6)
    return Series(values).rolling(window, center=True, min_periods=1).median().to_numpy()


def _set_scale(axes: Axes, curves: Sequence[Any]) -> None:
    """From zero, or logarithmic where small curves would otherwise lie on the axis."""
    ends = [float(curve[-1]) for curve in curves if curve[-1] > 0]
    if ends and max(ends) > LOG_FROM * min(ends):
        axes.set_yscale("log")
        return
    # The largest of what is drawn clearly: single slow frames may leave the picture.
    top = max((float(curve.max()) for curve in curves), default=0.0)
    axes.set_ylim(0, 1.08 * top if top > 0 else 1)
