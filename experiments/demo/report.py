"""The demo on disk: its page for people, the same rows and steps as a comparison for programs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from rich.console import Console

from ...framework import VideoModel
from ..comparison.report import Report
from ..comparison.table import print_table
from ..reports.page import web_page
from ..reports.tables import Table
from ..streaming.environment import environment
from .clip import SECONDS, DemoClip, video_path
from .run import Demo
from .settings import FRAMES_CARRIED, MODEL, STREAM, equal_budgets
from .strip import Strip, evidence_strip, held_strip, task_colours
from .table import RIGHT, WRONG, answers_table, costs_table, further_table, questions_table

if TYPE_CHECKING:
    from ..reports.drawing import Drawing


@dataclass(frozen=True)
class DemoReport(Report):
    """A comparison's report with questions, their answers, and pictures.

    Args:
        strips: the video's frames, and what is held of them at its end by memory.
        timelines: what is held as the video passes.
    """

    strips: Sequence[Strip] = ()
    timelines: Sequence[Drawing] = ()

    @property
    def questions(self) -> Sequence[Mapping[str, Any]]:
        """As they stand in rows.json."""
        return self.config["questions"]

    def html(self, figures: Sequence[Drawing]) -> str:
        questions, rows = self.questions, self.rows
        memories = {row["memory"]: row["settings"] for row in rows}
        colours = task_colours(one["task"] for one in questions)
        return web_page(
            "demo/demo.html",
            "What cross-frame memories remember of a minute of video",
            self.note,
            config={name: value for name, value in self.config.items() if name != "questions"},
            environment=self.environment,
            colours=colours,
            strips=self.strips,
            questions=_coloured(questions_table(questions, self.config["seen until"]), colours),
            answers=_coloured(answers_table(questions, rows), colours),
            further=[further_table(rows, reading) for reading in ("archive", "carried")],
            costs=costs_table(rows),
            figures=[*self.timelines, *figures],
            memories=memories,
        )


def demo_report(demo: Demo, model: VideoModel) -> DemoReport:
    """All that a run of the demo tells."""
    from .held import timelines  # with matplotlib, 0.4 s

    held, questions = demo.held, demo.questions()
    shown = evidence_strip(held.pictures, demo.clip.questions)
    after = [held_strip(name, patches) for name, patches in held.patches.items()]
    config = {**_settings(demo, model), "questions": questions}
    stamp = environment(model)
    return DemoReport(
        demo.rows(), demo.comparison.step_rows(), config, stamp,
        strips=[shown, *after], timelines=[timelines(held)],
    )  # fmt: skip


def print_demo(report: DemoReport, console: Console) -> None:
    """Questions with right answers, what each memory answers, further clips, costs."""
    questions, rows = report.questions, report.rows
    for table in (
        questions_table(questions, report.config["seen until"]),
        answers_table(questions, rows),
        replace(further_table(rows), heading=f"Right on {report.config['further clips']}"),
        costs_table(rows),
    ):
        console.print(f"\n{table.heading}", style="bold", markup=False, highlight=False)
        print_table(table.heads, table.lines, console, table.kinds)


def _coloured(table: Table, tasks: Container[str]) -> Table:
    """The same with tasks in their colours, and what is wrong standing out."""

    def cell(text: str) -> str:
        if text in tasks:
            return Markup('<i class="task-{0}">{0}</i>').format(text)
        kind = {RIGHT: "right", WRONG: "wrong"}.get(text[:1])
        return Markup('<span class="{}">{}</span>').format(kind, text) if kind else text

    lines = [[cell(text) for text in line] for line in table.lines]
    return replace(table, heads=[cell(head) for head in table.heads], lines=lines)


def _settings(demo: Demo, model: VideoModel) -> dict[str, Any]:
    seeds, slots = demo.seeds, equal_budgets(model).capacity
    return {
        "model": MODEL.model,
        "video": video_path().name,
        "video drawn by": _drawn_by(demo.clip),
        "further clips": f"{len(seeds)} further clips, seeds {seeds[0]} to {seeds[-1]}",
        "seen until": SECONDS * (len(demo.held.pictures) - 1),
        "slots": f"{slots} slots per KV head, {FRAMES_CARRIED} frames' worth",
        **asdict(STREAM),
    }


def _drawn_by(clip: DemoClip) -> str:
    return ", ".join(f"{name} {value}" for name, value in clip.about().items())
