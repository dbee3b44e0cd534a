"""Patches still held as one PNG for papers: some frames by some moments, and the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .held import FramePatches
from .held_page import evenly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, ROWS = 8, 5
VEIL = (0.0, 32 / 255, 77 / 255)  # cividis' darkest


def contact_sheet(frames: Sequence[FramePatches], title: str) -> Figure:
    """Columns are frames, rows are moments; a patch is as bright as on the page."""
    from matplotlib.figure import Figure

    shown = evenly(len(frames), COLUMNS)
    moments = _moments(len(frames))
    height, width = frames[0].picture.pixels.shape[:2]
    cell = 1.32 * min(1.6, height / width)
    size = (1.32 * len(shown) + 1.0, cell * len(moments) + 3.4)
    figure = Figure(figsize=size, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(cell * len(moments) + 0.7, 2.7))
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    grid = top.subplots(len(moments), len(shown), squeeze=False)
    for row, step in zip(grid, moments, strict=True):
        for axes, number in zip(row, shown, strict=True):
            _draw(axes, frames[number], number, step)
        row[0].set_ylabel(f"after\nframe {step + 1}", fontsize=8.5, rotation=0, ha="right", va="center")
    for axes, number in zip(grid[0], shown, strict=True):
        seconds = frames[number].picture.seconds
        axes.set_title(f"frame {number + 1}, {seconds:.1f} s", fontsize=8.5)
    _add_scale(top, grid)
    _timeline(bottom.subplots(), frames)
    return figure


def _moments(steps: int) -> list[int]:
    """Moments evenly spaced, the last one included and the very first left out."""
    count = min(ROWS, steps)
    return [round(steps * (place + 1) / count) - 1 for place in range(count)]


def _draw(axes: Axes, frame: FramePatches, number: int, step: int) -> None:
    axes.set(xticks=[], yticks=[])
    if number > step:
        axes.set_axis_off()
        return
    height, width = frame.picture.pixels.shape[:2]
    extent: Any = (0, width, height, 0)
    axes.imshow(frame.picture.pixels, extent=extent)
    axes.imshow(_veil(frame, step), extent=extent, interpolation="nearest")


def _veil(frame: FramePatches, step: int) -> np.ndarray:
    """[rows, columns, 4]: dark where the token is gone, orange where it never entered."""
    share = frame.share(step)
    veil = torch.tensor([*VEIL, 0.0]).expand(*share.shape, 4).clone()
    veil[..., 3] = 0.92 * (1 - share.sqrt())
    veil[~frame.entered] = torch.tensor([0.835, 0.369, 0.0, 0.59])
    return veil.numpy()


def _add_scale(figure: Any, grid: Any) -> None:
    """What brightness stands for, on white."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.ticker import PercentFormatter

    gone = [0.92 * part + 0.08 for part in VEIL]
    colours = LinearSegmentedColormap.from_list("veil", [gone, (1.0, 1.0, 1.0)])
    scale = ScalarMappable(PowerNorm(0.5, 0, 1), colours)
    bar = figure.colorbar(scale, ax=grid, pad=0.01, aspect=40)
    bar.set_label("(layer, KV head) pairs that hold the patch")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def _timeline(axes: Axes, frames: Sequence[FramePatches]) -> None:
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    held = shares_over_time(frames)
    unseen = np.triu(np.ones_like(held), 1).T.astype(bool)
    axes.set_facecolor("0.93")
    shown = axes.imshow(
        np.ma.masked_array(held, unseen),
        cmap="cividis",
        norm=PowerNorm(0.5, 0, 1),
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, len(frames) + 0.5, len(frames) + 0.5, 0.5),
    )
    axes.set(xlabel="frames seen", ylabel="frame")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    bar = axes.figure.colorbar(shown, ax=axes, pad=0.01, label="share still held")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def shares_over_time(frames: Sequence[FramePatches]) -> np.ndarray:
    """[frames, steps] share of each frame's visual tokens held, mean over layers and KV heads."""
    steps = torch.arange(len(frames))[:, None]
    shares = [(frame.last.flatten()[None] >= steps).double().mean(1) for frame in frames]
    return torch.stack(shares).numpy()
