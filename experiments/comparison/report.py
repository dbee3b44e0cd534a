"""A comparison on disk: report.html for people, rows.json and steps.csv for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ..reports.drawing import Drawing
from ..reports.page import definitions, figure, web_page
from .figures import figures_of
from .table import headed_cells

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """What is written about one comparison.

    Args:
        rows: one per memory, as `Comparison.rows`.
        steps: one per memory and step, as `Comparison.step_rows`.
        config: everything the run was asked to do; `question` and `video` must be in it.
        environment: where it ran.
        note: a warning for readers, shown on top.
    """

    rows: Sequence[Row]
    steps: Sequence[Row]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    note: str = ""

    def write(self, folder: str | Path) -> Path:
        """Write report.html, rows.json and steps.csv; the path of the page."""
        from pandas import DataFrame

        report_folder(folder)
        folder = Path(folder)
        steps = DataFrame(self.steps)
        steps.to_csv(folder / "steps.csv", index=False)
        (folder / "rows.json").write_text(self.json(), "utf-8")
        page = folder / "report.html"
        page.write_text(self.html(figures_of(steps)), "utf-8")
        return page

    def json(self) -> str:
        """Config, environment and rows; what is not a finite number becomes null."""
        content = {
            "note": self.note,
            "config": dict(self.config),
            "environment": dict(self.environment),
            "rows": [{name: _finite(value) for name, value in row.items()} for row in self.rows],
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def html(self, figures: Sequence[Drawing]) -> str:
        """The page, with nothing to load from elsewhere."""
        memories = {row["memory"]: row["settings"] for row in self.rows}
        return web_page(
            Path(__file__).with_name("report.html"),
            f"Cross-frame memories on {Path(self.config['video']).name}",
            self.note,
            question=escape(self.config["question"]),
            table=_table(self.rows),
            vision=f"{self.rows[0]['vision_ms_per_frame']:.1f}",
            figures="\n".join(figure(drawing) for drawing in figures),
            settings=definitions(self.config),
            memories=definitions(memories),
            environment=definitions(self.environment),
        )


def report_folder(folder: str | Path | None, option: str = "--report") -> None:
    """Make the folder before the run, so that a wrong one costs no time.

    Args:
        option: that names it.

    Raises:
        ValueError: if it cannot be made.
    """
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{option} {folder}: {error.strerror}; give another folder") from error


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: Sequence[Row]) -> str:
    heads, lines = headed_cells(rows)
    kinds = ["text" if head in ("memory", "answer") else "number" for head in heads]

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (
            f'<{tag} class="{kind}">{escape(cell)}</{tag}>'
            for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{''.join(marked)}</tr>"

    body = "\n".join(line("td", cells) for cells in lines)
    return f"<table>\n<thead>{line('th', heads)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
