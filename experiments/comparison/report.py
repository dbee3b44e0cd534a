"""A comparison on disk: report.html for people, rows.json and steps.csv for programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..reports.page import web_page
from ..reports.tables import Table
from ..reports.text import FULL, strict_json
from .table import better, headed_cells

if TYPE_CHECKING:
    from ..reports.drawing import Drawing

Row = Mapping[str, Any]
TEXTS = ("memory", "reader", "stored as")


@dataclass(frozen=True)
class Report:
    """What is written about one comparison.

    Args:
        rows: one per memory, as `Comparison.rows`.
        steps: one per memory and step, as `Comparison.step_rows`.
        config: everything the run was asked to do; `question` and `video` must be in it.
        environment: where it ran.
        note: a warning for readers, shown on top.
        left_out: a line for each combination that was not run, and why.
    """

    rows: Sequence[Row]
    steps: Sequence[Row]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    note: str = ""
    left_out: Sequence[str] = ()

    def write(self, folder: str | Path) -> Path:
        """Write report.html, rows.json and steps.csv; the path of the page."""
        from pandas import DataFrame

        from .figures import figures_of  # with matplotlib, 0.4 s

        report_folder(folder)
        folder = Path(folder)
        steps = DataFrame(self.steps)
        steps.to_csv(folder / "steps.csv", index=False)
        (folder / "rows.json").write_text(self.json(), "utf-8")
        page = folder / "report.html"
        families = {row["memory"]: row["family"] for row in self.rows}
        page.write_text(self.html(figures_of(steps, families)), "utf-8")
        return page

    def json(self) -> str:
        """Config, environment and rows; what is not a finite number becomes null."""
        about: dict[str, Any] = {"note": self.note, "left_out": list(self.left_out)}
        about |= {"config": self.config, "environment": self.environment}
        return strict_json({**about, "rows": self.rows})

    def html(self, figures: Sequence[Drawing]) -> str:
        """The page, with nothing to load from elsewhere."""
        memories = {row["memory"]: row["settings"] for row in self.rows}
        heads, lines = headed_cells(self.rows)
        place = heads.index("answer")
        answers = [line.pop(place) for line in lines]
        heads.pop(place)
        lines = [[_breakable(line[0]), *line[1:]] for line in lines]
        kinds = ["text" if head in TEXTS else "number" for head in heads]
        full = [place for place, row in enumerate(self.rows) if row["family"] == FULL]
        return web_page(
            "comparison/report.html",
            f"Cross-frame memories on {Path(self.config['video']).name}",
            self.note,
            report=self,
            results=Table(
                "results",
                "Results",
                heads,
                lines,
                kinds=kinds,
                marked=full,
                details=answers,
                better=[better(head) for head in heads],
            ),
            figures=figures,
            memories=memories,
        )


def _breakable(name: str) -> str:
    """A name that narrow columns break behind commas and parentheses, not inside a number."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[,(])", "<wbr>", str(escape(name))))


def report_folder(folder: str | Path | None, option: str = "--report") -> None:
    """Make the folder that an option names before the run, so that a wrong one costs no time.

    Raises:
        ValueError: if it cannot be made.
    """
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{option} {folder}: {error.strerror}; give another folder") from error
