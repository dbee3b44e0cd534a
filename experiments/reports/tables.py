"""Tables for people, on pages and in Markdown; and the name of tables for programs."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

DataTable = Any  # a pandas DataFrame, whose own types get lost at the first selection


@dataclass(frozen=True)
class Table:
    """A table for people; texts may be `Markup` where they are HTML already.

    Args:
        name: its id on a page.
        heading: above it.
        heads: one per column.
        lines: cells of each line, one per column.
        caption: below it.
        kinds: a class of the page's style for each column, "" for none; empty: none at all.
        groups: texts above the heads, each with the number of columns that it spans.
        marked: numbers of the lines that stand out, from 0.
        details: a text below each line, as wide as what can be seen of the table; empty: none.
    """

    name: str
    heading: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str = ""
    kinds: Sequence[str] = ()
    groups: Sequence[tuple[str, int]] = ()
    marked: Container[int] = ()
    details: Sequence[str] = ()


def markdown_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its first column to the left and the others to the right."""
    rows = [heads, ["---"] + ["---:"] * (len(heads) - 1), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
