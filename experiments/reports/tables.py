"""Tables for people, on pages and in Markdown; and the name of tables for programs."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, repeat
from typing import Any

from .text import leading_number

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
        better: for each column 1 where more is better, -1 where less is, 0 where neither is; empty:
            no column is judged. A judged table's best cells stand out, marked lines apart, and its
            columns of equal cells are folded.
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
    better: Sequence[int] = ()

    @cached_property
    def values(self) -> list[list[float | None]]:
        """The number that each cell begins with."""
        return [[leading_number(cell) for cell in line] for line in self.lines]

    @cached_property
    def best(self) -> set[tuple[int, int]]:
        """Line and column of the best cells of each judged column, where some are not as good."""
        return {place for column in range(len(self.better)) for place in self._best(column)}

    @property
    def alike(self) -> list[tuple[str, str]]:
        """Head and cell of the columns that say the same in every line, if the table is judged."""
        return [(self._whole_head(column), self.lines[0][column]) for column in self._folded]

    @property
    def unfolded(self) -> Table:
        """The table without those columns."""
        kept = [column for column in range(len(self.heads)) if column not in self._folded]

        def of(values: Sequence[Any]) -> list[Any]:
            return [values[column] for column in kept] if values else []

        spans = of(self._groups)
        return replace(
            self,
            heads=of(self.heads),
            lines=[of(line) for line in self.lines],
            kinds=of(self.kinds),
            better=of(self.better),
            groups=[(self.groups[one][0], spans.count(one)) for one in dict.fromkeys(spans)],
        )

    def _best(self, column: int) -> Iterator[tuple[int, int]]:
        judged = {
            number: value * self.better[column]
            for number, line in enumerate(self.values)
            if (value := line[column]) is not None and number not in self.marked
        }
        if self.better[column] and len(set(judged.values())) > 1:
            most = max(judged.values())
            yield from ((number, column) for number, value in judged.items() if value == most)

    @cached_property
    def _folded(self) -> list[int]:
        if not self.better or len(self.lines) < 2:
            return []
        columns = range(1, len(self.heads))
        return [one for one in columns if len({line[one] for line in self.lines}) == 1]

    @cached_property
    def _groups(self) -> list[int]:
        """Which group each column is in."""
        return [*chain(*(repeat(one, span) for one, (_, span) in enumerate(self.groups)))]

    def _whole_head(self, column: int) -> str:
        group = self.groups[self._groups[column]][0] if self.groups else ""
        return f"{group}, {self.heads[column]}" if group else self.heads[column]


def markdown_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its first column to the left and the others to the right."""
    rows = [heads, ["---"] + ["---:"] * (len(heads) - 1), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
