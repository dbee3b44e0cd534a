"""What all figures share: colours, a style for each name, axes, legends, files that do not vary."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from .tables import DataTable
from .text import FULL

# Okabe and Ito's, told apart by colour-blind readers as well, and a few more.
COLOURS = (
    *("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#7A5195", "#8C8C8C", "#8B4513", "#B5BD00", "#FF9DA7"),
)
# Of families of memories, of which more than a dozen may be on one page; black is full attention's.
FAMILY_COLOURS = (
    *COLOURS[1:],
    *("#332288", "#2F4F4F", "#882255", "#4040FF", "#C8102E", "#0A6E3C", "#8DA0FF", "#C8A200"),
    *("#C49A6C", "#00CFC8", "#5A5A00", "#FF5FD2"),
)
LINES = ("-", "--", "-.", ":")
DOTS_PER_INCH = 150
NOTEBOOK_DOTS_PER_INCH = 72
STYLE: Any = {"font.size": 9.5, "axes.titlesize": 10, "axes.titlelocation": "left"}
WIDTH = 10.4
MARKERS = "osD^vPX<>ph*d"
# What captions say of `family_styles`.
GRAMMAR = "A colour is a rule, marker and line tell its variants apart, full attention is black."
LEGEND_COLUMNS = 4
LEGEND_LINE = 0.21  # inches


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure: `name` of its files, heading and caption of the page, and the picture, which is
    drawn when it is first looked at: pages of text name figures without showing them.

    Attributes:
        size: inches, width and height.
        draw: puts the content into an empty figure.
    """

    name: str
    heading: str
    caption: str = field(repr=False)
    size: tuple[float, float] = field(repr=False)
    draw: Callable[[Figure], None] = field(repr=False)

    @cached_property
    def figure(self) -> Figure:
        with rc_context(STYLE):
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure)
        return figure

    @cached_property
    def svg(self) -> str:
        """The picture as it stands in a page."""
        text = io.StringIO()
        # Names of parts inside an SVG must differ from figure to figure of one page.
        with rc_context({"svg.hashsalt": self.name}):
            self.figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()[text.getvalue().index("<svg") :]

    def _repr_png_(self) -> bytes:
        """As a notebook shows it."""
        picture = io.BytesIO()
        self.figure.savefig(picture, format="png", dpi=NOTEBOOK_DOTS_PER_INCH)
        return picture.getvalue()

    def write(self, folder: Path) -> None:
        """NAME.svg and NAME.png."""
        (folder / f"{self.name}.svg").write_text(self.svg, "utf-8")
        self.figure.set_layout_engine("none")  # places are found: half the time of the PNG
        self.figure.savefig(folder / f"{self.name}.png", dpi=DOTS_PER_INCH)


def write_figures(drawings: Iterable[Drawing], folder: Path) -> None:
    """Every figure below FOLDER/figures, as `Drawing.write` does."""
    (folder / "figures").mkdir(exist_ok=True)
    for drawing in drawings:
        drawing.write(folder / "figures")


def tidy_axes(axes: Axes, title: str = "") -> None:
    """A light grid, no box, the title at the left."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator(integer=True))


def exact_ticks(axes: Axes, values: Any, text_of: Callable[[float], str]) -> None:
    """Ticks at exactly these values along the x axis, by the texts that `text_of` makes of them."""
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(value)))


@dataclass(frozen=True)
class Style:
    """How what bears one name is drawn, the same in all figures."""

    colour: str
    marker: str
    dashes: str = "-"

    @property
    def line(self) -> dict[str, Any]:
        """For a curve with its points."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": 5,
            "linewidth": 1.5,
            "linestyle": self.dashes,
        }

    def legend(self) -> Any:
        """The curve's entry in a legend."""
        return Line2D([], [], **self.line)


def styles(names: Sequence[str], reference: str | None) -> dict[str, Style]:
    """One style for each name; the reference is a black star."""
    others = [name for name in names if name != reference]
    # Colours but black, and a marker that moves on with every round through them as well.
    palette = COLOURS[1:]
    own = {
        name: Style(
            palette[n % len(palette)], MARKERS[(n + n // len(palette)) % (len(MARKERS) - 2)]
        )
        for n, name in enumerate(others)
    }
    return {**({} if reference is None else {reference: Style("#000000", "*")}), **own}


def family_styles(families: Mapping[str, str]) -> dict[str, Style]:
    """One style for each name by its family: the colour is the family's, marker and line tell its
    members apart; full attention is black."""
    others = dict.fromkeys(family for family in families.values() if family != FULL)
    colours = {FULL: COLOURS[0], **dict(zip(others, cycle(FAMILY_COLOURS), strict=False))}
    members: Counter[str] = Counter()
    styles: dict[str, Style] = {}
    for name, family in families.items():
        number = members[family]
        marker, dashes = MARKERS[number % len(MARKERS)], LINES[number % len(LINES)]
        styles[name] = Style(colours[family], marker, dashes)
        members[family] += 1
    return styles


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


def error_bars(table: DataTable, name: str) -> Any:
    """[2, n] distances from the value to the ends of its interval."""
    value, low, high = (table[name + end].to_numpy(float) for end in ("", "_low", "_high"))
    return np.clip(np.stack([value - low, high - value]), 0, None)
