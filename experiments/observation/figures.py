"""Figures of evidence: which there are, what they say, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import drawing
from .evidence import LEVELS
from .tables import Table, Tables

if TYPE_CHECKING:
    from matplotlib import figure as pyplot

DOTS_PER_INCH = 160
Draw = Callable[[Table], "pyplot.Figure"]


@dataclass(frozen=True)
class Figure:
    """A finished figure.

    Attributes:
        name: of its files.
        level: of the mass it shows, None where it is drawn once.
        svg, png: the picture.
    """

    name: str
    heading: str
    caption: str
    level: str | None
    svg: str
    png: bytes

    def write(self, folder: Path) -> None:
        """NAME.svg and NAME.png."""
        (folder / f"{self.name}.svg").write_text(self.svg, "utf-8")
        (folder / f"{self.name}.png").write_bytes(self.png)


@dataclass(frozen=True)
class Plan:
    """A figure to be drawn: of which table, and how."""

    name: str
    heading: str
    caption: str
    table: str
    draw: Draw


PLANS = (
    Plan(
        "captured_mass",
        "Captured historical mass",
        "Share of the mass on earlier frames that falls on B tokens (eq. 9). Left: the best B in "
        "hindsight, the paper's figure 6. Right: the B that a memory would really hold, chosen at "
        "every frame from its own last state and that frame.",
        "rows",
        drawing.captured,
    ),
    Plan(
        "weighted_recall",
        "Weighted recall",
        "Share of the wanted tokens' mass that a memory of B slots can still reach (eq. 12). Top "
        "left is the paper's figure 7: the state is the oracle of the frame before, and the "
        "frame's own tokens count. Right: with the rolled-out state, in which errors add up. "
        "Bottom: earlier frames' tokens alone, both wanted and held.",
        "rows",
        drawing.weighted_recall,
    ),
    Plan(
        "retention_churn",
        "Retention and churn",
        "Left: share of the last frame's state that stayed. Right: share of this frame's state "
        "that is new (eq. 13). Lines are means over layers, faint ones the layers of the oracle.",
        "rows",
        drawing.turnover,
    ),
    Plan(
        "over_time",
        "Captured mass over the video",
        "Mean over layers by frame. If the number of tokens that matter does not grow with the "
        "video, these lines become flat. Left: the best B in hindsight. Right: the rolled-out "
        "state.",
        "rows",
        drawing.over_time,
    ),
    Plan(
        "recency_gap",
        "Beside the last frames",
        "Left: historical mass captured by the last R frames, by them and the stream's first 4 "
        "tokens, and by as many best tokens as there are in R frames; means over layers. Right: "
        "best tokens minus last frames, per layer (appendix 0.A.3).",
        "recency",
        drawing.recency,
    ),
)
WHERE = (
    "where_mass_goes",
    "Where the mass goes",
    "Left: shares of the mass of a frame's queries by what they look at, per layer. Right: by the "
    "distance of the frame looked at, on a logarithmic colour scale; the first frame is left out, "
    "because at distance d it would stand for one frame alone.",
)


def figures_of(tables: Tables) -> Iterator[Figure]:
    """All figures; those of rows and recency once per level."""
    for level, words in zip(LEVELS, ("", ", per KV head"), strict=True):
        for plan in PLANS:
            table: Table = getattr(tables, plan.table)
            own = table[table["level"] == level]
            if len(own):
                name, heading = f"{plan.name}_{level}", plan.heading + words
                yield _figure(name, heading, plan.caption, level, lambda p=plan, t=own: p.draw(t))
    yield _figure(*WHERE, None, lambda: drawing.where_mass_goes(tables.parts, tables.distances))


def _figure(
    name: str, heading: str, caption: str, level: str | None, draw: Callable[[], pyplot.Figure]
) -> Figure:
    from matplotlib import rc_context

    style: Any = {"font.size": 9.5, "axes.titlesize": 10.5, "axes.titlelocation": "left"}
    # Names of parts inside an SVG must differ from figure to figure of one page.
    with rc_context(style | {"svg.hashsalt": name}):
        drawn, svg, png = draw(), io.StringIO(), io.BytesIO()
        drawn.savefig(svg, format="svg", metadata={"Date": None})
        drawn.set_layout_engine("none")  # places are found: half the time of the second drawing
        drawn.savefig(png, format="png", dpi=DOTS_PER_INCH)
    return Figure(name, heading, caption, level, svg.getvalue(), png.getvalue())
