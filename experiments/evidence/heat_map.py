"""Rules by suites: where each is closer to full attention than the first rival, where further."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..reports.drawing import WIDTH, Drawing
from .comparisons import against, lost, rivals_in
from .figures import VERDICT_COLOURS, suffix
from .results import Measure, Results
from .statistics import BETTER, WORSE, Comparison
from .table import lines_of, names, of_size


def heat_map(results: Results, measures: Sequence[Measure], size: int | None = None) -> Drawing:
    """Difference to the first rival of every memory in every measure.

    Raises:
        ValueError: for a run without that rival.
    """
    lines = lines_of(results, size)
    rivals = rivals_in(lines)
    if not rivals:
        raise ValueError("evidence: a heat map shows differences to a rival: run statekv too")
    shown = [one for one in lines if one != rivals[0] and results.reference not in one.cells]
    measures = [one for one in measures if results.has(one)]
    columns = [against(results, lines, rivals[0], one) for one in measures]
    scales = [lost(results, rivals[0], one) for one in measures]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (comparisons, scale) in enumerate(zip(columns, scales, strict=True)):
            for row, line in enumerate(shown):
                if line in comparisons:
                    _square(axes, place, row, comparisons[line], measures[place], scale)
        axes.set_xlim(-0.5, len(measures) - 0.5)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        heads = [_broken(one.head) for one in measures]
        axes.set_xticks(range(len(heads)), heads, fontsize=8)
        axes.set_yticks(range(len(shown)), names(results, shown).values())
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    caption = (
        f"Difference to {rivals[0].label} in each measure's own unit, bold where the verdict is "
        "better or worse. Colours tell it as a share of what that rival loses to full attention in "
        "the column: green closer to full attention, orange further away, full colour at that "
        "whole loss and beyond; grey where it loses nothing."
    )
    height = 0.9 + 0.29 * len(shown)
    heading = of_size(f"Difference to {rivals[0].label} by suite", size)
    return Drawing(f"by-suite{suffix(size)}", heading, caption, (WIDTH, height), draw)


def _square(
    axes: Axes, column: int, row: int, comparison: Comparison, measure: Measure, scale: float
) -> None:
    mean = comparison.mean
    worse = mean if measure.lower_is_better else -mean
    share = max(-1.0, min(1.0, worse / scale)) if scale else 0.0
    end = VERDICT_COLOURS[WORSE if share > 0 else BETTER]
    corner = (column - 0.48, row - 0.46)
    axes.add_patch(Rectangle(corner, 0.96, 0.92, facecolor="0.96", linewidth=0))
    axes.add_patch(
        Rectangle(corner, 0.96, 0.92, facecolor=end, alpha=0.75 * abs(share), linewidth=0)
    )
    weight = "bold" if comparison.verdict in (BETTER, WORSE) else "normal"
    axes.text(
        column, row, f"{mean:+.2f}" if abs(mean) >= 0.1 else f"{mean:+.3f}",
        ha="center", va="center", fontsize=8, fontweight=weight,
    )  # fmt: skip


def _broken(head: str) -> str:
    """A head on two or three lines."""
    return head.replace(", ", ",\n").replace(" frames", "\nframes").replace(" loss", "\nloss")
