"""Rows of a comparison as a table for people: the same cells in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from ..reports.text import number, printable, scale

Row = Mapping[str, Any]
WIDE = 120  # columns from which answers fit into the table
LONGEST = 42  # of a cell; what is longer is folded


def headed_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Column heads with units, and one list of cells per row."""
    prefix, unit = scale([row["decoder_flops"] for row in rows])
    last_prefix, last_unit = scale([row["decoder_flops_last_frame"] for row in rows])
    varied = [name for name in ("reader", "archive") if len({row.get(name) for row in rows}) > 1]
    # The archive's bytes have a column of that name.
    choice_heads = ["stored as" if name == "archive" else name for name in varied]
    heads = [
        "memory",
        *choice_heads,
        "answer",
        "agreement",
        "KL to full (nats)",
        "archive error",
        f"decoder {prefix}FLOP",
        f"last frame {last_prefix}FLOP",
        "ms per frame",
        "state",
        "archive",
    ]
    cells = [
        [
            row["memory"],
            *(row[name] for name in varied),
            " ".join(printable(row["answer"]).split()),
            *_closeness(row),
            "" if isnan(row["archive_error"]) else f"{row['archive_error']:.1%}",
            number(row["decoder_flops"] / unit),
            number(row["decoder_flops_last_frame"] / last_unit),
            number(row["decoder_ms_per_frame"]),
            decimal(row["state_bytes"]),
            decimal(row["archive_bytes"]),
        ]
        for row in rows
    ]
    return heads, cells


def better(head: str) -> int:
    """1 for a column in which more is better, -1 for less, 0 for names."""
    return {"agreement": 1, "memory": 0, "reader": 0, "stored as": 0}.get(head, -1)


def _closeness(row: Row) -> tuple[str, str]:
    """Agreement and KL; what was computed with NaN or Inf is close to nothing."""
    if isnan(row["agreement"]):
        return ("n/a", "n/a") if row.get("finite", True) else ("NaN inside", "NaN inside")
    return f"{row['agreement']:.0%}", number(row["kl_to_full"])


def print_results(
    rows: Sequence[Row], console: Console, note: str = "", left_out: Sequence[str] = ()
) -> None:
    """The table, below it the answers where the console is too narrow for them, what was left out,
    and a note to readers."""
    heads, cells = headed_cells(rows)
    if not print_table(heads, cells, console):
        for line in cells:
            console.print(Text(f"{line[0]}: {line[heads.index('answer')]}"), highlight=False)
    for line in left_out:
        console.print(Text(line, style="dim"), highlight=False)
    if note:
        console.print(note, style="bold yellow", markup=False, highlight=False)


def print_grid(rows: Sequence[Row], console: Console) -> None:
    """What is written x what is read: KL to full attention, one grid per archive."""
    for archive in dict.fromkeys(row["archive"] for row in rows):
        kept_so = [row for row in rows if row["archive"] == archive]
        readers = list(dict.fromkeys(row["reader"] for row in kept_so))
        if len(readers) < 2:
            continue
        console.print(f"\nKL to full attention (nats), archive {archive}: written x read")
        print_table(*grid(kept_so, readers), console)


def grid(rows: Sequence[Row], readers: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A line per memory, a column per reader."""
    divergences = {(row["memory"], row["reader"]): number(row["kl_to_full"]) for row in rows}
    memories = dict.fromkeys(row["memory"] for row in rows)
    cells = [
        [memory, *(divergences.get((memory, reader), "not run") for reader in readers)]
        for memory in memories
    ]
    return ["memory", *(f"reads {reader}" for reader in readers)], cells


def print_table(
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    console: Console,
    kinds: Sequence[str] = ("text",),
) -> bool:
    """A table as wide as its cells; whether answers are in it, for which it may be too narrow.

    Args:
        kinds: of the columns as in `reports.tables.Table`; text stands at the left.
    """
    if not console.is_terminal:
        console.width = max(console.width, 2 * WIDE)  # a log file has no edge
    wide = console.width >= WIDE
    narrow = "answer" in heads and not wide
    gap = (0, 0 if narrow else 1)
    table = Table(box=SIMPLE_HEAD, padding=gap, pad_edge=False, show_edge=False)
    shown = [place for place, head in enumerate(heads) if wide or head != "answer"]
    for place in shown:
        if heads[place] == "answer":
            table.add_column("answer", no_wrap=True, overflow="ellipsis", max_width=32)
        else:
            words = [*heads[place].split(), *(line[place] for line in cells)]
            justify = "left" if "text" in kinds[place : place + 1] else "right"
            longest = min(max(map(len, words)), 10 if narrow else LONGEST)
            table.add_column(heads[place], justify=justify, overflow="fold", width=longest)
    for line in cells:
        table.add_row(*(Text(line[place]) for place in shown))
    console.print(table)
    return wide
