"""Memories compared on one video."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .given import Rules, by_name, loaded

if TYPE_CHECKING:
    from pandas import DataFrame

    from ...framework import Archive, CrossFrameMemory, Reader, VideoModel
    from ..comparison.report import Report
    from ..reports.drawing import Drawing


@dataclass(frozen=True, eq=False)
class Compared:
    """Memories on one video, with full attention as the reference."""

    report: Report

    @cached_property
    def rows(self) -> DataFrame:
        """A row for each memory, reader and archive: answer, closeness to full attention, cost."""
        from pandas import DataFrame

        return DataFrame(self.report.rows)

    @cached_property
    def steps(self) -> DataFrame:
        """A row for each memory and step: tokens, FLOPs, milliseconds, bytes."""
        from pandas import DataFrame

        return DataFrame(self.report.steps)

    @cached_property
    def figures(self) -> list[Drawing]:
        """Costs over the video; each has `.figure`, of matplotlib."""
        from ..comparison.figures import figures_of

        families = {row["memory"]: row["family"] for row in self.report.rows}
        return figures_of(self.steps, families)

    def write(self, folder: str | Path) -> Path:
        """report.html, rows.json and steps.csv as `crossframe compare --report` writes them; the
        path of the page."""
        return self.report.write(folder)

    def __repr__(self) -> str:
        return f"Compared({len(self.rows)} answers to {self.report.config['question']!r})"

    def _repr_html_(self) -> str:
        from ..reports.page import framed

        return framed(self.report.html(self.figures))


def compare(
    video: str | Path,
    question: str,
    *,
    model: str | VideoModel,
    memories: Rules[CrossFrameMemory],
    readers: Rules[Reader] = ("all",),
    archives: Rules[Archive] = ("plain",),
    capacity: int | None = None,
    last_frames: int | None = None,
    **stream: Any,
) -> Compared:
    """Several memories on the same frames and question, beside full attention.

    Args:
        video: a file, an address, a folder of images; a text for a text decoder.
        model: an adapter, or what `load_model` loads.
        memories, readers, archives: one or several rules, or texts as on the command line
            ("statekv(64)"); by names of your own if a mapping.
        capacity: slots per KV head of memories that are given as texts without one.
        last_frames: also answer from so many last frames alone, prefilled afresh.
        stream: fields of `StreamOptions`: fps, max_frames, max_new_tokens, ...

    Raises:
        ValueError: for a rule that cannot be read, a video that cannot be opened, or settings that
            do not go together.
        TypeError: for a field that `StreamOptions` has not.
    """
    from rich.console import Console

    from ..comparison.report import Report
    from ..comparison.run import Choices
    from ..comparison.run import compare as run
    from ..streaming.environment import environment
    from ..streaming.media import open_media
    from ..streaming.options import StreamOptions
    from ..streaming.rule_text import MemoryDefaults, archive_from, memory_from, reader_from

    defaults, options = MemoryDefaults(capacity), StreamOptions(**stream)
    choices = Choices(
        by_name("memories", memories, lambda text: memory_from(text, defaults)),
        by_name("readers", readers, reader_from),
        by_name("archives", archives, archive_from),
        last_frames,
    )
    media, adapter = open_media(video, options), loaded(model)
    console = Console(quiet=True)
    done = run(adapter, choices, media, question, stream=options, console=console)
    config = {"video": str(video), "question": question, **asdict(options)}
    return Compared(
        Report(done.rows(), done.step_rows(), config, environment(adapter), left_out=done.left_out)
    )
