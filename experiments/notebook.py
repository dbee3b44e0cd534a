"""`compare` and `observe` from Python: tables, figures, and a page in the notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..framework import Archive, CrossFrameMemory, Reader, VideoModel
    from .comparison.report import Report
    from .observation.tables import Tables
    from .reports.drawing import Drawing

T = TypeVar("T")
# What a rule is given as: its text, as on the command line, or itself.
Rules = Sequence["str | T"] | Mapping[str, "str | T"]
HEIGHT = 720  # pixels of a page in a notebook


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
        from .comparison.figures import figures_of

        families = {row["memory"]: row["family"] for row in self.report.rows}
        return figures_of(self.steps, families)

    def write(self, folder: str | Path) -> Path:
        """report.html, rows.json and steps.csv as `crossframe compare --report` writes them; the
        path of the page."""
        return self.report.write(folder)

    def __repr__(self) -> str:
        return f"Compared({len(self.rows)} answers to {self.report.config['question']!r})"

    def _repr_html_(self) -> str:
        return framed(self.report.html(self.figures))


@dataclass(frozen=True, eq=False)
class Observed:
    """How full attention's mass is spread over videos, and what a bounded memory could have."""

    tables: Tables
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]

    @property
    def rows(self) -> DataFrame:
        """A row for each video, step, level, layer and capacity, as `rows.parquet` has them."""
        return self.tables.rows

    @cached_property
    def figures(self) -> dict[str, list[Drawing]]:
        """By the level of the mass, "layer" and "head"; the one drawn once is under ""."""
        from .observation.figures import figures_of

        return figures_of(self.tables)

    def __repr__(self) -> str:
        return f"Observed({len(self.rows)} rows of {', '.join(self.settings['videos'])})"

    def _repr_html_(self) -> str:
        from .observation.page import evidence_page

        page = evidence_page(
            "Evidence", self.tables, self.figures, {}, self.settings, self.environment
        )
        return framed(page)


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
        memories, readers, archives: rules, or texts as on the command line ("statekv(64)"); by
            names of your own if a mapping.
        capacity: slots per KV head of memories that are given as texts without one.
        last_frames: also answer from so many last frames alone, prefilled afresh.
        stream: fields of `StreamOptions`: fps, max_frames, max_new_tokens, ...

    Raises:
        ValueError: for a rule that cannot be read, a video that cannot be opened, or settings that
            do not go together.
        TypeError: for a field that `StreamOptions` has not.
    """
    from rich.console import Console

    from .comparison.report import Report
    from .comparison.run import Choices
    from .comparison.run import compare as run
    from .comparison.table import left_out_notes
    from .streaming.environment import environment
    from .streaming.media import open_media
    from .streaming.options import StreamOptions
    from .streaming.rule_text import MemoryDefaults, archive_from, memory_from, reader_from

    defaults, options = MemoryDefaults(capacity), StreamOptions(**stream)
    choices = Choices(
        _rules(memories, lambda text: memory_from(text, defaults)),
        _rules(readers, reader_from),
        _rules(archives, archive_from),
        last_frames,
    )
    media, adapter = open_media(video, options), _loaded(model)
    console = Console(quiet=True)
    done = run(adapter, choices, media, question, stream=options, console=console)
    config = {"video": str(video), "question": question, **asdict(options)}
    notes = left_out_notes(done.left_out)
    return Compared(
        Report(done.rows(), done.step_rows(), config, environment(adapter), left_out=notes)
    )


def observe(
    videos: str | Path | Sequence[str | Path], *, model: str | VideoModel, **options: Any
) -> Observed:
    """How full attention's mass is spread over videos, as `crossframe observe` measures it.

    Args:
        videos: one or several.
        model: an adapter, or what `load_model` loads.
        options: fields of `ObserveOptions`: frames, capacities, recent_frames, ...

    Raises:
        ValueError: for a video that cannot be opened or is too short, or capacities that all hold
            the whole video.
        TypeError: for a field that `ObserveOptions` has not.
    """
    from rich.console import Console

    from ..framework import FullMemory
    from .observation.run import measure, open_videos
    from .observation.stream import ObserveOptions
    from .streaming.environment import environment

    paths = [str(one) for one in ([videos] if isinstance(videos, str | Path) else videos)]
    chosen = ObserveOptions(**options)
    media, adapter = open_videos(paths, chosen), _loaded(model)
    _, tables = measure(adapter, media, FullMemory(), chosen, Console(quiet=True))
    settings = {"videos": paths, "frames": chosen.frames, "capacities": list(chosen.capacities)}
    return Observed(tables, settings, environment(adapter))


def framed(page: str) -> str:
    """A whole page as a part of another: its styles and scripts stay its own."""
    style = f"width:100%;height:{HEIGHT}px;border:0"
    return f'<iframe srcdoc="{escape(page)}" style="{style}"></iframe>'


def _rules(given: Any, made_of: Any) -> dict[str, Any]:
    """Rules by name; one that has none goes by its text or its repr."""
    if not isinstance(given, Mapping):
        names = [one if isinstance(one, str) else repr(one) for one in given]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}; name each once")
        given = dict(zip(names, given, strict=True))
    return {name: made_of(one) if isinstance(one, str) else one for name, one in given.items()}


def _loaded(model: str | VideoModel) -> VideoModel:
    from ..models import load_model

    return load_model(model) if isinstance(model, str) else model
