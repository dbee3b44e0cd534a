"""Pages of one file that loads nothing; what they share is in page.html and macros.html."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .text import printable

TEMPLATES = Path(__file__).parents[1]
FRAME_HEIGHT = 720  # pixels of a page in a notebook


def web_page(template: str, title: str, note: str = "", **values: Any) -> str:
    """A whole page; every text is escaped, unless it is `Markup`.

    Args:
        template: a file that extends `reports/page.html`, as seen from `experiments/`.
        note: a warning for readers, shown on top.
        values: by the names that the template has for them; a lacking one is an error.
    """
    return templates().get_template(template).render(title=title, note=note, **values)


def framed(page: str) -> str:
    """A whole page as a part of another: its styles and scripts stay its own."""
    style = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
    return f'<iframe srcdoc="{escape(page)}" style="{style}"></iframe>'


def templates() -> Environment:
    """All templates below `experiments/`, strict about names and escaping."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    return environment
