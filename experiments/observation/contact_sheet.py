"""Patches still held as one PNG for papers: some frames at some moments, and the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .held import FramePatches, shares_over_time
from .held_page import evenly

COLUMNS, ROWS = 8, 5
CELL = 1.32  # inches
# As on the page: cividis' darkest, and a colour nothing else has.
VEIL, VEIL_ALPHA = (0.0, 32 / 255, 77 / 255), 0.92
NEVER_ENTERED_COLOUR = (213 / 255, 94 / 255, 0.0, 0.59)


def contact_sheet(frames: Sequence[FramePatches], title: str) -> Figure:
    """Columns are frames, rows are moments; a patch is as bright as on the page."""
    shown, moments = evenly(len(frames), COLUMNS), _moments(len(frames))
    height, width = frames[0].picture.pixels.shape[:2]
    cell = CELL * min(1.6, height / width)
    size = (CELL * len(shown) + 2.2, cell * len(moments) + 3.4)
    figure = Figure(figsize=size, layout="constrained")
    if not all(bool(frame.entered.all()) for frame in frames):
        title += " (orange: never entered the decoder)"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    parts: Any = figure.subfigures(2, 1, height_ratios=(cell * len(moments) + 0.7, 2.7))
    pictures = parts[0].subplots(len(moments), len(shown), squeeze=False)
    for row, step in zip(pictures, moments, strict=True):
        for axes, number in zip(row, shown, strict=True):
            _draw(axes, frames[number], seen=number <= step, step=step)
        about: Any = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8.5}
        row[0].set_ylabel(f"after\nframe {step + 1}", **about)
    for axes, number in zip(pictures[0], shown, strict=True):
        seconds = frames[number].picture.seconds
        at = "" if seconds is None else f", {seconds:.1f} s"
        axes.set_title(f"frame {number + 1}{at}", fontsize=8.5)
    _add_scale(parts[0], pictures)
    draw_timeline(parts[1].subplots(), shares_over_time(frames))
    return figure


def _moments(steps: int) -> list[int]:
    """Moments evenly spaced, with the last one."""
    count = min(ROWS, steps)
    return [round(steps * (place + 1) / count) - 1 for place in range(count)]


def _draw(axes: Axes, frame: FramePatches, *, seen: bool, step: int) -> None:
    height, width = frame.picture.pixels.shape[:2]
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0), aspect="equal")
    if not seen:
        axes.set_axis_off()
        return
    extent: Any = (0, width, height, 0)
    axes.imshow(frame.picture.pixels, extent=extent)
    axes.imshow(_veil(frame, step), extent=extent, interpolation="nearest")


def _veil(frame: FramePatches, step: int) -> np.ndarray:
    """[rows, columns, 4]: dark where the token is gone, orange where it never entered."""
    share = frame.share(step)
    veil = torch.tensor([*VEIL, 0.0]).expand(*share.shape, 4).clone()
    veil[..., 3] = VEIL_ALPHA * (1 - share.sqrt())
    veil[~frame.entered] = torch.tensor(NEVER_ENTERED_COLOUR)
    return veil.numpy()


def _add_scale(figure: Any, grid: Any) -> None:
    """What brightness stands for, on white."""
    gone = [VEIL_ALPHA * part + 1 - VEIL_ALPHA for part in VEIL]
    colours = LinearSegmentedColormap.from_list("veil", [gone, (1.0, 1.0, 1.0)])
    bar = figure.colorbar(ScalarMappable(PowerNorm(0.5, 0, 1), colours), ax=grid, pad=0.01)
    bar.set_label("(layer, KV head) pairs\nthat hold the token")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def draw_timeline(axes: Axes, held: np.ndarray) -> None:
    """The share of every frame held over time.

    Args:
        held: [frames, steps], as `shares_over_time`.
    """
    count = len(held)
    axes.set_facecolor("0.93")
    shown = axes.imshow(
        np.ma.masked_array(held, np.tri(count, k=-1, dtype=bool)),  # steps before the frame came
        cmap="cividis",
        norm=PowerNorm(0.5, 0, 1),
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, count + 0.5, count + 0.5, 0.5),
    )
    axes.set(xlabel="frames seen", ylabel="frame")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    bar = axes.figure.colorbar(shown, ax=axes, pad=0.01, label="share still held")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
