"""The page of evidence: its tables, beside figures and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from ..reports.page import web_page
from ..reports.tables import DataTable, Table
from ..reports.text import cell
from .tables import Tables, means, when_full

if TYPE_CHECKING:
    from ..reports.drawing import Drawing

Groups = Mapping[str, Mapping[str, str]]  # heads of groups of columns; columns and their heads

STATES = {
    "": "oracle",
    "_past": "oracle, past",
    "_rolled": "rolled",
    "_rolled_past": "rolled, past",
}
CAPACITIES: Groups = {
    "": {"capacity": "B"},
    "captured mass": {"captured": "best", "captured_rolled": "rolled"},
    **{
        measure.replace("_", " "): {measure + suffix: head for suffix, head in STATES.items()}
        for measure in ("weighted_recall", "recall", "retention", "churn")
    },
}
RECENCY: Groups = {
    "": {"recent_frames": "R"},
    "captured mass": {
        "captured_recent": "last R frames",
        "captured_recent_sinks": "and first 4 tokens",
        "captured_best": "as many best tokens",
        "gap": "best minus last",
    },
}


def evidence_page(
    title: str,
    tables: Tables,
    figures: Mapping[str, Sequence[Drawing]],
    links: Mapping[str, str],
    settings: Mapping[str, Any],
    environment: Mapping[str, Any],
    note: str = "",
) -> str:
    """The whole page.

    Args:
        figures: by level, as `figures_of` has them.
        links: page of held patches by video, where there is one.
        note: a warning for readers, shown on top.
    """
    return web_page(
        "observation/observe.html",
        title,
        note,
        videos=_videos(tables, links),
        layer=_level(tables, "layer"),
        head=_level(tables, "head"),
        figures=figures,
        settings=settings,
        environment=environment,
    )


def _level(tables: Tables, level: str) -> list[Table]:
    rows = tables.rows[tables.rows["level"] == level]
    recency = tables.recency[tables.recency["level"] == level]
    full = "Frames with more history than the capacity"
    return [
        _means(f"all-{level}", "All frames", rows, "capacity", CAPACITIES),
        _means(f"full-{level}", full, when_full(rows), "capacity", CAPACITIES),
        _means(f"recency-{level}", "Beside the last R frames", recency, "recent_frames", RECENCY),
    ]


def _means(name: str, heading: str, rows: DataTable, over: str, groups: Groups) -> Table:
    """Means over videos, layers and frames; no lines where there are no rows."""
    columns = [column for group in groups.values() for column in group]
    lines = means(rows, [over]).to_dict("records") if len(rows) else []
    return Table(
        name,
        heading,
        [head for group in groups.values() for head in group.values()],
        [[cell(row[column]) for column in columns] for row in lines],
        kinds=[kind for group in groups.values() for kind in ("first", *[""] * (len(group) - 1))],
        groups=[(head, len(group)) for head, group in groups.items()],
    )


def _videos(tables: Tables, links: Mapping[str, str]) -> Table:
    link = Markup('<a href="{}">patches held</a>')
    lines = [
        [
            video["video"],
            *(cell(video[column]) for column in ("frames", "steps", "tokens")),
            ", ".join(tables.left_out[video["video"]]) or "none",
            link.format(quote(links[video["video"]])) if video["video"] in links else "",
        ]
        for video in tables.videos.to_dict("records")
    ]
    heads = ("video", "frames", "steps", "tokens", "left out, for holding all of it", "")
    return Table("videos", "Videos", heads, lines, kinds=("text", "", "", "", "", "text"))
