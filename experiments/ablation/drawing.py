"""What all figures of a study share: sizes, colours that colour-blind readers tell apart, files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..figures import COLOURS
from .tidy import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
WIDTH = 10.4
MARKERS = "osD^vPX<>ph*d"
LEGEND_COLUMNS = 4
LEGEND_LINE = 0.21  # inches


@dataclass(frozen=True)
class Drawing:
    """A finished figure: `name` of its files, heading and caption of the page, the picture."""

    name: str
    heading: str
    caption: str
    svg: str
    png: bytes

    def write(self, folder: Path) -> None:
        """NAME.svg and NAME.png."""
        (folder / f"{self.name}.svg").write_text(self.svg, "utf-8")
        (folder / f"{self.name}.png").write_bytes(self.png)


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


def drawn(
    name: str, heading: str, caption: str, size: tuple[float, float], draw: Callable[[Figure], None]
) -> Drawing:
    """A figure drawn by a function, the same every time."""
    from matplotlib.figure import Figure

    with _settings(name):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=DOTS_PER_INCH)
    text = svg.getvalue()
    return Drawing(name, heading, caption, text[text.index("<svg") :], png.getvalue())


def families(cells: Table) -> list[tuple[str, Table]]:
    """Cells that differ in their amount alone, by rising cost, under a name without the amount."""
    return [(str(name), own) for name, own in cells.groupby("family", sort=False)]


def tidy_axes(axes: Axes, title: str = "") -> None:
    """A light grid, no box, the title at the left."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title)


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
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    from .variants import short

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    from matplotlib import rc_context

    settings: Any = {
        "svg.hashsalt": salt,
        "font.size": 9.5,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
    }
    with rc_context(settings):
        yield
