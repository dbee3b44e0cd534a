"""The page of evidence: tables, figures, settings; one file that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..reports.drawing import Drawing
from ..reports.page import definitions, figure, web_page
from .tables import Table, Tables, means, when_full

Groups = Mapping[str, Mapping[str, str]]  # heads of groups of columns; columns and their heads

STATES = {
    "": "oracle",
    "_past": "oracle, past",
    "_rolled": "rolled",
    "_rolled_past": "rolled, past",
}
MEASURES = ("weighted_recall", "recall", "retention", "churn")


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
        links: page of held patches by video.
        note: a warning for readers, shown on top.
    """
    return web_page(
        Path(__file__).with_name("observe.html"),
        title,
        note,
        videos=_videos(tables, links),
        layer=_level(tables, figures["layer"], "layer"),
        shared="\n".join(map(figure, figures[""])),
        head=_level(tables, figures["head"], "head"),
        settings=definitions(settings),
        environment=definitions(environment),
    )


def _level(tables: Tables, figures: Sequence[Drawing], level: str) -> str:
    rows = tables.rows[tables.rows["level"] == level]
    recency = tables.recency[tables.recency["level"] == level]
    parts = [
        "<h3>All frames</h3>",
        _capacities(rows, f"all-{level}"),
        "<h3>Frames with more history than the capacity</h3>",
        _capacities(when_full(rows), f"full-{level}"),
        "<h3>Beside the last R frames</h3>",
        _recency(recency, f"recency-{level}"),
        *map(figure, figures),
    ]
    return "\n".join(parts)


def _capacities(rows: Table, name: str) -> str:
    if not len(rows):
        return '<p class="small">There are none.</p>'
    states = {
        measure.replace("_", " "): {measure + suffix: head for suffix, head in STATES.items()}
        for measure in MEASURES
    }
    captured = {"captured": "best", "captured_rolled": "rolled"}
    groups = {"": {"capacity": "B"}, "captured mass": captured, **states}
    return _table(means(rows, ["capacity"]), groups, name)


def _recency(recency: Table, name: str) -> str:
    if not len(recency):
        return '<p class="small">There are none.</p>'
    captured = {
        "captured_recent": "last R frames",
        "captured_recent_sinks": "and first 4 tokens",
        "captured_best": "as many best tokens",
        "gap": "best minus last",
    }
    groups = {"": {"recent_frames": "R"}, "captured mass": captured}
    return _table(means(recency, ["recent_frames"]), groups, name)


def _table(rows: Table, groups: Groups, name: str) -> str:
    top = [
        f'<th colspan="{len(columns)}" class="group">{escape(head)}</th>'
        for head, columns in groups.items()
    ]
    heads, cells = [], {}
    for columns in groups.values():
        for place, (column, head) in enumerate(columns.items()):
            kind = ' class="first"' if place == 0 else ""
            heads.append(f"<th{kind}>{escape(head)}</th>")
            cells[column] = kind
    lines = [
        "".join(f"<td{kind}>{_number(row[column])}</td>" for column, kind in cells.items())
        for row in rows.to_dict("records")
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<div class="scroll"><table id="{name}">\n<thead><tr>{"".join(top)}</tr>'
        f"<tr>{''.join(heads)}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,.0f}"
    return "–" if math.isnan(value) else f"{value:.2f}"


def _videos(tables: Tables, links: Mapping[str, str]) -> str:
    lines = []
    for video in tables.videos.to_dict("records"):
        name = str(video["video"])
        left_out = ", ".join(tables.left_out[name]) or "none"
        lines.append(
            f'<tr><td class="text">{escape(name)}</td><td>{video["frames"]:,}</td>'
            f"<td>{video['steps']:,}</td><td>{video['tokens']:,}</td><td>{left_out}</td>"
            f'<td class="text"><a href="{quote(links[name])}">patches held</a></td></tr>'
        )
    heads = ("frames", "steps", "tokens", "left out, for holding all of it", "")
    head = '<th class="text">video</th>' + "".join(f"<th>{text}</th>" for text in heads)
    return (
        f'<div class="scroll"><table id="videos"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
