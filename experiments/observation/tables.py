"""Rows of evidence as tables, and their means as the paper reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..reports.tables import DataTable
from .held import FramePatches

ROW_KEYS = ("video", "layer", "level", "frame", "history", "capacity")
RECENCY_KEYS = ("video", "layer", "level", "frame", "history", "recent_frames")


@dataclass(frozen=True, eq=False)
class Observed:
    """What was measured on one video.

    Attributes:
        name: of the file, without its ending.
        counts: `steps`, temporal patches that passed; `frames`, raw ones; `flagged_frames`, that
            FFmpeg flags as damaged; `tokens` of the stream, prompt included.
        tables: "rows" and "recency", as `Evidence`; "parts" and "distances", as `MassByFrame`.
        held: what every pictured memory held of every frame, by its repr.
    """

    name: str
    counts: Mapping[str, int]
    tables: Mapping[str, DataTable]
    held: Mapping[str, list[FramePatches]]


@dataclass(frozen=True, eq=False)
class Tables:
    """Everything measured, tidy: one measurement per line.

    Attributes:
        rows: evidence per video, layer, level, frame and capacity.
        recency: per video, layer, level, frame and number of recent frames.
        parts: share of the mass per video, layer and part of the stream.
        distances: share of the mass per video, layer and distance in frames.
        videos: one line per video.
        left_out: capacities and windows that hold all of a video, in words, by video.
    """

    rows: DataTable
    recency: DataTable
    parts: DataTable
    distances: DataTable
    videos: DataTable
    left_out: dict[str, list[str]]


def table_of(rows: Sequence[Mapping[str, Any]]) -> DataTable:
    """One line per row."""
    from pandas import DataFrame

    return DataFrame(rows)


def tables_of(observed: Sequence[Observed]) -> Tables:
    """The tables of all videos; capacities and windows that hold all of a video are left out."""
    from pandas import concat

    whole = {}
    for name in observed[0].tables:
        by_video = {video.name: video.tables[name] for video in observed}
        whole[name] = concat(by_video, names=["video"]).reset_index(0).reset_index(drop=True)
    rows, recency = whole["rows"], whole["recency"]
    measured = rows["capacity"] < rows.groupby("video")["history"].transform("max")
    passed = recency["recent_frames"] < recency.groupby("video")["frame"].transform("max")
    whole["rows"] = rows[measured].reset_index(drop=True)
    whole["recency"] = recency[passed].reset_index(drop=True)
    return Tables(
        **whole,
        videos=table_of([{"video": video.name, **video.counts} for video in observed]),
        left_out={
            video.name: [
                *_distinct(rows[~measured], video.name, "capacity", "slots"),
                *_distinct(recency[~passed], video.name, "recent_frames", "frames"),
            ]
            for video in observed
        },
    )


def means(table: DataTable, by: Sequence[str]) -> DataTable:
    """Means over everything but `by`, every video counted once; `videos` says over how many."""
    keys = {*ROW_KEYS, *RECENCY_KEYS, "slots"} - {"video", *by}
    measures = table.drop(columns=sorted(keys & set(table.columns)))
    per_video = measures.groupby(["video", *by], sort=True).mean()
    grouped = per_video.groupby(level=list(by))
    return grouped.mean().assign(videos=grouped.size()).reset_index()


def when_full(table: DataTable) -> DataTable:
    """Rows of frames with more history than the capacity, or than the window, holds: before that
    nothing is evicted and every measure is 1."""
    if "capacity" in table.columns:
        return table[table["history"] > table["capacity"]]
    return table[table["frame"] > table["recent_frames"]]


def _distinct(table: DataTable, video: str, column: str, unit: str) -> list[str]:
    numbers = sorted(map(int, table[column][table["video"] == video].unique()))
    return [f"{number:,} {unit}" for number in numbers]
