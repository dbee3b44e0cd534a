"""What all pages share: one file that loads nothing, tables, figures, names with their values."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .drawing import Drawing
from .text import printable


def web_page(template: Path, title: str, note: str = "", **parts: str) -> str:
    """A whole page.

    Args:
        template: HTML of its body, with places for `parts`; its own style is the .css beside it.
        note: a warning for readers, shown on top.
        parts: HTML.
    """
    frame = Path(__file__).with_name("page.html")
    return Template(frame.read_text("utf-8")).substitute(
        title=escape(title),
        style=template.with_suffix(".css").read_text("utf-8"),
        note=f'<p class="note">{escape(note)}</p>' if note else "",
        body=Template(template.read_text("utf-8")).substitute(parts),
    )


def figure(drawing: Drawing) -> str:
    """A heading, the picture, and what it shows."""
    name, heading = escape(drawing.name, quote=True), escape(drawing.heading, quote=True)
    return (
        f'<h2>{heading}</h2>\n<figure id="{name}"><div role="img" aria-label="{heading}">'
        f"{drawing.svg}</div>\n<figcaption>{escape(drawing.caption)}</figcaption></figure>"
    )


def definitions(values: Mapping[str, Any]) -> str:
    """Names and values as a list of definitions."""
    shown = ((escape(str(name)), escape(printable(str(value)))) for name, value in values.items())
    return "<dl>" + "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in shown) + "</dl>"
