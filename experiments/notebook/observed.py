"""Attention mass observed over videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .given import loaded

if TYPE_CHECKING:
    from pandas import DataFrame

    from ...framework import VideoModel
    from ..observation.tables import Tables
    from ..reports.drawing import Drawing


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
        from ..observation.figures import figures_of

        return figures_of(self.tables)

    def __repr__(self) -> str:
        return f"Observed({len(self.rows)} rows of {', '.join(self.settings['videos'])})"

    def _repr_html_(self) -> str:
        from ..observation.page import evidence_page
        from ..reports.page import framed

        page = evidence_page(
            "Evidence", self.tables, self.figures, {}, self.settings, self.environment
        )
        return framed(page)


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

    from ...framework import FullMemory
    from ..observation.run import measure, open_videos
    from ..observation.stream import ObserveOptions
    from ..streaming.environment import environment

    paths = [str(one) for one in ([videos] if isinstance(videos, str | Path) else videos)]
    chosen = ObserveOptions(**options)
    media, adapter = open_videos(paths, chosen), loaded(model)
    _, tables = measure(adapter, media, [FullMemory()], chosen, Console(quiet=True))
    settings = {"videos": paths, "frames": chosen.frames, "capacities": list(chosen.capacities)}
    return Observed(tables, settings, environment(adapter))
