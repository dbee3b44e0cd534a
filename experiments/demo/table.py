"""What the demo measured as tables for people, the same in the terminal, on the page and in
README; made of the rows that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.filesize import decimal

from ..evidence.clip_measures import READINGS
from ..reports.tables import Table
from ..reports.text import MISSING, number, printable, scale

Row = Mapping[str, Any]
RIGHT, WRONG = "✓", "✗"
READ = {
    "archive": "Every answer reads the keys and values of all frames, as each memory wrote them.",
    "carried": "The same clips, but answers read only what is carried behind the last frame.",
}


def questions_table(questions: Sequence[Row], end: float) -> Table:
    """What is asked, when what answers it was in view, and for how long it had been gone.

    Args:
        end: seconds when the last frame was seen.
    """
    lines = [
        [one["task"], one["question"], one["right answer"], *_times(one["shown at"], end)]
        for one in questions
    ]
    heads = ("task", "question", "right answer", "shown at", "ago")
    kinds = ("text", "text", "text", "number", "number")
    return Table("questions", "What is asked at the end", heads, lines, kinds=kinds)


def answers_table(questions: Sequence[Row], rows: Sequence[Row]) -> Table:
    """What each memory answers, with a tick where it is right."""
    lines = [
        [row["memory"], *(_marked(row["answers"][one["task"]], one) for one in questions)]
        for row in rows
    ]
    heads = ["memory", *(one["task"] for one in questions)]
    return Table("answers", "Answers", heads, lines, kinds=["text"] * len(heads))


def further_table(rows: Sequence[Row], reading: str = "archive") -> Table:
    """Right answers of those asked on further clips."""
    tasks = list(rows[0]["further"]["archive"])
    lines = [[row["memory"], *(_share(row, reading, task) for task in tasks)] for row in rows]
    heading = f"Right on further clips, read from the {READINGS[reading]}"
    heads, kinds = ["memory", *tasks], ["text", *["number"] * len(tasks)]
    caption = f"{READ[reading]} {_by_chance(rows, tasks)}"
    return Table(f"further-{reading}", heading, heads, lines, caption, kinds)


def costs_table(rows: Sequence[Row]) -> Table:
    """Closeness to full attention on the bundled video, and what it cost."""
    prefix, unit = scale([row["decoder_flops"] for row in rows])
    heads = (
        "memory", "agreement", "KL to full (nats)", "archive error", f"decoder {prefix}FLOP",
        "ms per frame", "state", "archive",
    )  # fmt: skip
    lines = [
        [
            row["memory"],
            f"{row['agreement']:.0%}",
            number(row["kl_to_full"]),
            f"{row['archive_error']:.1%}",
            number(row["decoder_flops"] / unit),
            number(row["decoder_ms_per_frame"]),
            decimal(row["state_bytes"]),
            decimal(row["archive_bytes"]),
        ]
        for row in rows
    ]
    kinds = ["text", *["number"] * (len(heads) - 1)]
    return Table("costs", "Closeness and cost", heads, lines, kinds=kinds)


def _by_chance(rows: Sequence[Row], tasks: Sequence[str]) -> str:
    """How far a share may be off; paired by clips, differences between memories are less so."""
    fewest = min(rows[0]["further"]["archive"][task]["asked"] for task in tasks)
    return f"The standard error of a share is at most {50 / max(fewest, 1) ** 0.5:.0f} points."


def _times(shown: Sequence[float], end: float) -> tuple[str, str]:
    return ", ".join(f"{at:g} s" for at in shown), f"{end - max(shown):g} s"


def _marked(answer: str, question: Row) -> str:
    sign = RIGHT if answer == question["right answer"] else WRONG
    return f"{sign} {printable(answer) or MISSING}"


def _share(row: Row, reading: str, task: str) -> str:
    tally = row["further"].get(reading, {}).get(task)
    return f"{tally['right']}/{tally['asked']}" if tally else MISSING
