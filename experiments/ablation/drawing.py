"""What all figures of a study share: a style for each memory, intervals, legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from ..reports.drawing import COLOURS, exact_ticks
from .tidy import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.4
MARKERS = "osD^vPX<>ph*d"
LEGEND_COLUMNS = 4
LEGEND_LINE = 0.21  # inches


@dataclass(frozen=True)
class Style:
    """How one memory is drawn, the same in all figures."""

    colour: str
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """For a curve with its points."""
        return {"color": self.colour, "marker": self.marker, "markersize": 5, "linewidth": 1.5}


def styles(names: Sequence[str], reference: str | None) -> dict[str, Style]:
    """One style for each name; the reference is a black star."""
    others = [name for name in names if name != reference]
    # Colours but black, and a marker that moves on with every round through them as well.
    palette = COLOURS[1:]
    found = {
        name: Style(
            palette[n % len(palette)], MARKERS[(n + n // len(palette)) % (len(MARKERS) - 2)]
        )
        for n, name in enumerate(others)
    }
    return {**({} if reference is None else {reference: Style("#000000", "*")}), **found}


def families(cells: Table) -> list[tuple[str, Table]]:
    """Cells that differ in their amount alone, by rising cost, under a name without the amount."""
    return [(str(name), own) for name, own in cells.groupby("family", sort=False)]


def percent_axis(axes: Axes) -> None:
    """Room around percentages, also where all are alike, but none beyond 0 and 100."""
    low, high = axes.get_ylim()
    room = max(3.0, 0.05 * (high - low))
    axes.set_ylim(max(low - room, -3), min(high + room, 103))


def legend_below(figure: Figure, entries: dict[str, Any], columns: int = LEGEND_COLUMNS) -> None:
    """One legend for all panels, below them; `entries` are artists by label."""
    columns = min(len(entries), columns)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=columns,
        frameon=False, fontsize=8.5,
    )  # fmt: skip


def legend_height(count: int, columns: int = LEGEND_COLUMNS) -> float:
    """Inches that a legend of so many entries takes."""
    return 0.15 + LEGEND_LINE * ceil(count / columns)


def error_bars(table: Table, name: str) -> Any:
    """[2, n] distances from the value to the ends of its interval."""
    import numpy as np

    value, low, high = (table[name + end].to_numpy(float) for end in ("", "_low", "_high"))
    return np.clip(np.stack([value - low, high - value]), 0, None)


def plain_ticks(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis that names exactly these values."""
    from .variants import short

    axes.set_xscale("log")
    exact_ticks(axes, values, short)
