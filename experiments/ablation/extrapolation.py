"""Decoder FLOPs by closed form for streams far longer than those that were run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, StrMethodFormatter

from ...framework.attention.attend import choose
from ...framework.flops import step_flops
from ..reports.drawing import (
    WIDTH,
    Drawing,
    Style,
    legend_below,
    legend_height,
    tidy_axes,
)
from ..reports.text import some
from ..streaming.cells import Cell
from .settle import Look
from .tidy import ModelRun

NAMED = 3  # memories of one curve that are named
LEGEND_COLUMNS = 2  # names of several memories are long


@dataclass(frozen=True)
class CostCurve:
    """Decoder FLOPs of every raw frame of a stream, and the cells that cost just that."""

    flops: np.ndarray
    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        return some(self.cells, NAMED)


def cost_curves(run: ModelRun, frames: int) -> list[CostCurve]:
    """One curve for all cells of the same cost; none where the model was not looked at."""
    if run.look is None:
        return []
    curves: dict[bytes, CostCurve] = {}
    for name, cell in run.grid.cells.items():
        entering = _entering(run, name)
        if entering is None:
            continue
        flops = stream_curve(cell, run.look, entering, frames)
        same = curves.get(flops.tobytes())
        cells = (name,) if same is None else (*same.cells, name)
        curves[flops.tobytes()] = CostCurve(flops, cells)
    return list(curves.values())


def stream_curve(cell: Cell, look: Look, entering: int, frames: int) -> np.ndarray:
    """[frames] decoder FLOPs of each raw frame of a stream, as sessions count them, where so many
    tokens of a temporal patch enter the decoder."""
    memory, layers, per_step = cell.memory, look.spec.num_layers, cell.frames_per_step
    steps = -(-frames // (look.frames_per_patch * per_step))
    seen = look.prompt_tokens + per_step * entering * np.arange(steps)
    bounds = [memory.limit(layer, layers, look.frame_tokens) for layer in range(layers)]
    carried = sum(seen if bound is None else np.minimum(seen, bound) for bound in bounds)
    asked = memory.needs_mass, memory.reductions
    extra = choose(cell.attention, *asked).extra_products(*asked, look.spec.head_dim)

    def cost(context: int) -> int:
        return step_flops(
            look.spec, new_tokens=per_step * entering, context_tokens=context, extra_products=extra
        )

    per_slot = (cost(1) - cost(0)) / layers  # of one slot in one layer: the form is linear in it
    whole = cost(0) + per_slot * carried
    per_frame = whole / (look.frames_per_patch * per_step)
    return np.repeat(per_frame, look.frames_per_patch * per_step)[:frames]


def extrapolation(
    runs: Mapping[str, ModelRun], marks: Mapping[str, Style], frames: int
) -> Drawing | None:
    """Every model's curves, frame by frame and summed up; None where there are none. `marks` are by
    cell."""
    curves = {model: found for model, run in runs.items() if (found := cost_curves(run, frames))}
    if not curves:
        return None
    styles = {one.name: marks[one.cells[0]] for found in curves.values() for one in found}
    longest = max(int(row["frames"]) for m in curves for row in runs[m].rows if "frames" in row)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(curves), 2, squeeze=False)
        number = np.arange(1, frames + 1)
        for (one, whole), (model, found) in zip(grid, curves.items(), strict=True):
            for place, curve in enumerate(found):
                style = styles[curve.name].line | {"markevery": (0.1 * place / len(found), 0.1)}
                one.plot(number, curve.flops, **style)
                whole.plot(number, curve.flops.cumsum(), **style)
            named = f"{model}: " if len(curves) > 1 else ""
            _finish(one, f"{named}one more frame", longest)
            _finish(whole, f"{named}all frames so far", longest)
        entries = {name: style.legend() for name, style in styles.items()}
        legend_below(figure, entries, LEGEND_COLUMNS)

    caption = (
        f"Decoder FLOPs by closed form up to {frames:,} frames, as sessions count them: with the "
        "attention over all carried slots, without vision, and for StreamMem without its probe. "
        f"The dotted line is where the longest stream of this study ended, {longest:,} frames. "
        "Memories of equal cost share a line, which is drawn as the first of them. Flat on the "
        "left means prefill linear in the video's length."
    )
    height = 3.6 * len(curves) + legend_height(len(styles), LEGEND_COLUMNS)
    heading = f"Decoder FLOPs, extrapolated to {frames:,} frames"
    return Drawing("extrapolation", heading, caption, (WIDTH, height), draw)


def totals(run: ModelRun, frames: Sequence[int]) -> list[tuple[str, list[float]]]:
    """Decoder FLOPs of whole streams of these lengths, for each curve."""
    curves = cost_curves(run, max(frames))
    return [(curve.name, [float(curve.flops[:n].sum()) for n in frames]) for curve in curves]


def _finish(axes: Axes, title: str, longest: int) -> None:
    axes.axvline(longest, color="0.4", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("frame")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylabel("decoder FLOPs")
    axes.yaxis.set_major_formatter(EngFormatter())
    tidy_axes(axes, title)


def _entering(run: ModelRun, cell: str) -> int | None:
    """Tokens of a temporal patch that entered the decoder, mean over the cell's questions."""
    assert run.look is not None  # asked before
    per_patch = run.look.frames_per_patch
    shares = [
        (row["tokens"] - run.look.prompt_tokens) / -(-row["frames"] // per_patch)
        for row in run.rows
        if row["cell"] == cell and row.get("frames")
    ]
    return round(sum(shares) / len(shares)) if shares else None
