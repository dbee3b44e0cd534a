"""`crossframe observe`: evidence on some videos, and what a memory holds of them, into a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from ...framework import CrossFrameMemory, VideoModel
from ..reports.drawing import DOTS_PER_INCH, write_figures
from ..reports.text import some, strict_json
from ..streaming.environment import environment
from ..streaming.frames import VideoFrames
from ..streaming.media import TextFile, open_media
from .contact_sheet import contact_sheet
from .figures import figures_of
from .held_page import held_page
from .page import evidence_page
from .stream import ObserveOptions, all_held, observe_video
from .tables import Observed, Tables, means, tables_of, when_full


def open_videos(paths: Sequence[str], options: ObserveOptions) -> list[VideoFrames | TextFile]:
    """The frames of every video, still to be decoded.

    Raises:
        VideoError: for a file that is missing or no video.
        ValueError: for a text without words, or two videos of one name.
    """
    names = [Path(path).stem for path in paths]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(
            f"observe: more than one video is called {', '.join(twins)}, but rows and pages go by "
            "that name: rename or link them"
        )
    return [open_media(path, options.stream) for path in paths]


def measure(
    model: VideoModel,
    videos: Sequence[VideoFrames | TextFile],
    pictured: Sequence[CrossFrameMemory],
    options: ObserveOptions,
    console: Console,
) -> tuple[list[Observed], Tables]:
    """What is seen of every video, and all of it in tables; as `observe`, which also writes."""
    observed = [observe_video(model, media, pictured, options, console) for media in videos]
    tables = tables_of(observed)
    if not len(tables.rows):
        raise ValueError(all_held(options))
    return observed, tables


def observe(
    model: VideoModel,
    videos: Sequence[VideoFrames | TextFile],
    pictured: Sequence[CrossFrameMemory],
    options: ObserveOptions,
    settings: Mapping[str, Any],
    console: Console,
    note: str = "",
) -> Path:
    """Measure, draw and write everything; the path of the page of evidence.

    Args:
        pictured: one memory whose patches are pictured, or two side by side; evidence is always
            that of full attention.
        settings: everything the run was asked to do, as shown on the pages.
        note: a warning for readers.

    Raises:
        ValueError: for a video too short, or capacities that all hold the whole video.
    """
    observed, tables = measure(model, videos, pictured, options, console)
    folder = Path(options.output)
    for name, left_out in tables.left_out.items():
        if left_out:
            line = f"{name}: left out for holding all of the video: {', '.join(left_out)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    stamp = environment(model)
    _write_tables(folder, tables, settings, stamp, note)
    links = {video.name: _write_held(folder, video, model, settings) for video in observed}
    figures = figures_of(tables)
    write_figures(chain(*figures.values()), folder)
    title = f"Evidence of {some([video.name for video in observed], 3)}"
    page = folder / "observe.html"
    page.write_text(evidence_page(title, tables, figures, links, settings, stamp, note), "utf-8")
    return page


def _write_held(
    folder: Path, video: Observed, model: VideoModel, settings: Mapping[str, Any]
) -> str:
    """Page and contact sheets of one video; the page's name."""
    page = f"held-{video.name}.html"
    text = held_page(video.name, video.held, model.frames_per_patch, settings)
    (folder / page).write_text(text, "utf-8")
    for (memory, frames), ending in zip(video.held.items(), ("", "-beside"), strict=False):
        title = f"{video.name}: {frames[0].picture.shows} that {memory} still holds"
        sheet = contact_sheet(frames, title)
        sheet.savefig(folder / f"held-{video.name}{ending}.png", dpi=DOTS_PER_INCH)
    return page


def _write_tables(
    folder: Path, tables: Tables, settings: Mapping[str, Any], stamp: Mapping[str, Any], note: str
) -> None:
    """Rows, and means as the paper's tables have them."""
    for name in ("rows", "recency", "parts", "distances"):
        getattr(tables, name).to_parquet(folder / f"{name}.parquet", index=False)
    by_capacity = means(tables.rows, ["level", "capacity"])
    by_capacity.to_csv(folder / "means.csv", index=False)
    summed = {
        "videos": tables.videos,
        "means": by_capacity,
        "means_when_full": means(when_full(tables.rows), ["level", "capacity"]),
        "recency": means(tables.recency, ["level", "recent_frames"]),
        "parts": means(tables.parts, ["part"]),
    }
    records = {name: table.to_dict("records") for name, table in summed.items()}
    head = {"note": note, "settings": settings, "environment": stamp}
    summary = {**head, "videos": records.pop("videos"), "left_out": tables.left_out, **records}
    (folder / "summary.json").write_text(strict_json(summary), "utf-8")
