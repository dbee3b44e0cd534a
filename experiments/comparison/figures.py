"""Figures of a comparison as inline SVG: what a frame costs, what it adds up to, bytes held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter
from pandas import DataFrame, Series

from ..reports.drawing import COLOURS, Drawing, drawn, legend_below, tidy_axes, whole_numbers
from ..reports.tables import DataTable

SIZE = (9.6, 3.7)  # inches
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
        "linear in the video's length. Equal curves are dashed over one another.",
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


def figures_of(steps: DataFrame) -> list[Drawing]:
    """All figures of a comparison, from one row per memory and step, as `Comparison.step_rows`."""
    return [
        drawn(name, heading, caption, SIZE, partial(_draw_all, panels=panels, steps=steps))
        for name, heading, caption, panels in LAYOUT
    ]


def _draw_all(figure: Figure, panels: Sequence[Panel], steps: DataFrame) -> None:
    video: DataTable = steps[steps["frame"] >= 0]
    colours = dict(zip(video["memory"].unique(), cycle(COLOURS), strict=False))
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        _draw(axes, panel, video, colours)
    lines = {name: Line2D([], [], color=colour, linewidth=2.2) for name, colour in colours.items()}
    legend_below(figure, lines, 5)


def _draw(axes: Axes, panel: Panel, video: DataTable, colours: Mapping[str, str]) -> None:
    shown: list[Any] = []
    for name, colour in colours.items():
        own = video[video["memory"] == name]
        frames, values = own["frame"] + own["frames"], panel.curve(own).to_numpy()
        if panel.noisy:
            axes.plot(frames, values, color=colour, alpha=0.2, linewidth=0.8)
            values = _running_median(values)
        _draw_curve(axes, frames, values, shown, color=colour)
        shown.append(values)
    _set_scale(axes, shown)
    axes.set_xlabel("frame")
    whole_numbers(axes.xaxis)
    axes.yaxis.set_major_formatter(EngFormatter(unit=panel.unit))
    tidy_axes(axes, panel.title)


def _draw_curve(axes: Axes, frames: Any, values: Any, shown: Sequence[Any], **style: Any) -> None:
    """One curve; on top of equal ones dashed, ever more sparsely, so that all can be seen."""
    twins = sum(_nearly_equal(values, other) for other in shown)
    dash = 8.0 / 2**twins
    line = (0, (dash, 8.0 - dash)) if twins else "solid"
    marker = "o" if len(values) == 1 else None
    axes.plot(frames, values, linewidth=2.2, linestyle=line, marker=marker, **style)


def _running_median(values: Any) -> Any:
    window = max(5, len(values) // 6)
    return Series(values).rolling(window, center=True, min_periods=1).median().to_numpy()


def _nearly_equal(ours: Any, others: Any) -> bool:
    """Within 1 % at most frames."""

    return ours.shape == others.shape and np.isclose(ours, others, rtol=0.01).mean() > 0.5


def _set_scale(axes: Axes, curves: Sequence[Any]) -> None:
    """From zero, or logarithmic where small curves would otherwise lie on the axis."""
    ends = [float(curve[-1]) for curve in curves if curve[-1] > 0]
    if ends and max(ends) > LOG_FROM * min(ends):
        axes.set_yscale("log")
        return
    # The largest of what is drawn clearly: single slow frames may leave the picture.
    top = max((float(curve.max()) for curve in curves), default=0.0)
    axes.set_ylim(0, 1.08 * top if top > 0 else 1)
