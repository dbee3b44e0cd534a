"""What all figures share: colours, light axes, a vector and a pixel file, the same every time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, told apart by colour-blind readers as well, and a few more.
COLOURS = (
    *("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#7A5195", "#8C8C8C", "#8B4513", "#B5BD00", "#FF9DA7"),
)
DOTS_PER_INCH = 150
STYLE: Any = {"font.size": 9.5, "axes.titlesize": 10, "axes.titlelocation": "left"}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A finished figure: `name` of its files, heading and caption of the page, the picture."""

    name: str
    heading: str
    caption: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """The picture as it stands in a page."""
        from matplotlib import rc_context

        text = io.StringIO()
        # Names of parts inside an SVG must differ from figure to figure of one page.
        with rc_context({"svg.hashsalt": self.name}):
            self.figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()[text.getvalue().index("<svg") :]

    def write(self, folder: Path) -> None:
        """NAME.svg and NAME.png."""
        (folder / f"{self.name}.svg").write_text(self.svg, "utf-8")
        self.figure.set_layout_engine("none")  # places are found: half the time of the PNG
        self.figure.savefig(folder / f"{self.name}.png", dpi=DOTS_PER_INCH)


def drawn(
    name: str, heading: str, caption: str, size: tuple[float, float], draw: Callable[[Figure], None]
) -> Drawing:
    """A figure, drawn by a function.

    Args:
        size: width and height in inches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
    return Drawing(name, heading, caption, figure)


def tidy_axes(axes: Axes, title: str = "") -> None:
    """A light grid, no box, the title at the left."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def exact_ticks(axes: Axes, values: Any, text_of: Callable[[float], str]) -> None:
    """Ticks at exactly these values along the x axis.

    Args:
        text_of: makes the text of a value.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(value)))
