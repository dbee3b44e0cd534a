"""Figures of evidence: which there are, what they say, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ..reports.drawing import Drawing
from ..reports.tables import DataTable
from . import drawing
from .evidence import LEVELS
from .tables import Tables

WIDTH = 9.6  # inches
Draw = Callable[["Figure", DataTable], None]


@dataclass(frozen=True)
class Plan:
    """A figure to be drawn: of which table, and how."""

    name: str
    heading: str
    caption: str
    table: str
    draw: Draw
    height: float = 3.8  # inches


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
        height=7.0,
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


def figures_of(tables: Tables) -> dict[str, list[Drawing]]:
    """All figures by the level of the mass they show; the one drawn once is under ""."""
    levels = {
        level: _of_level(tables, level, words)
        for level, words in zip(LEVELS, ("", ", per KV head"), strict=True)
    }

    def where(figure: Figure) -> None:
        drawing.where_mass_goes(figure, tables.parts, tables.distances)

    return {**levels, "": [Drawing(*WHERE, (WIDTH, 4.4), where)]}


def _of_level(tables: Tables, level: str, words: str) -> list[Drawing]:
    made = []
    for plan in PLANS:
        table: DataTable = getattr(tables, plan.table)
        draw, own = plan.draw, table[table["level"] == level]
        if len(own):
            about = (f"{plan.name}_{level}", plan.heading + words, plan.caption)
            size = (WIDTH, plan.height)
            made.append(Drawing(*about, size, lambda figure, draw=draw, own=own: draw(figure, own)))
    return made
