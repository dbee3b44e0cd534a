"""Rows of evidence as tables, and their means as the paper reports them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .stream import Observed

if TYPE_CHECKING:
    from pandas import DataFrame

ROW_KEYS = ("video", "layer", "level", "frame", "history", "capacity")
RECENCY_KEYS = ("video", "layer", "level", "frame", "history", "recent_frames")


@dataclass(frozen=True, eq=False)
class Tables:
    """Everything measured, tidy: one measurement per line.

    Attributes:
        rows: evidence per video, layer, level, frame and capacity.
        recency: per video, layer, level, frame and number of recent frames.
        parts: share of the mass per video, layer and part of the stream.
        distances: share of the mass per video, layer and distance in frames.
        videos: one line per video.
        left_out: capacities that hold a whole video, by video.
    """

    rows: DataFrame
    recency: DataFrame
    parts: DataFrame
    distances: DataFrame
    videos: DataFrame
    left_out: dict[str, list[int]]


def tables_of(observed: Sequence[Observed]) -> Tables:
    """The tables of all videos; capacities that a video's history never fills are left out."""
    from pandas import DataFrame, concat

    def table(rows: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> DataFrame:
        parts = [DataFrame(found).assign(video=name) for name, found in rows]
        whole = concat(parts, ignore_index=True)
        return whole[["video", *(name for name in whole.columns if name != "video")]]

    rows = table([(video.name, video.evidence.rows) for video in observed])
    filled = rows["capacity"] < rows.groupby("video")["history"].transform("max")
    return Tables(
        rows[filled].reset_index(drop=True),
        table([(video.name, video.evidence.recency) for video in observed]),
        table([(video.name, video.by_frame.parts()) for video in observed]),
        table([(video.name, video.by_frame.distances()) for video in observed]),
        DataFrame([_about(video) for video in observed]),
        {
            str(name): sorted(map(int, found["capacity"].unique()))
            for name, found in rows[~filled].groupby("video")
        },
    )


def means(table: DataFrame, by: Sequence[str]) -> DataFrame:
    """Means over everything but `by`, every video counted once; `videos` says over how many."""
    keys = {*ROW_KEYS, *RECENCY_KEYS, "slots"} - set(by)
    measures = table.drop(columns=[name for name in keys if name in table.columns and name != "video"])
    per_video = measures.groupby(["video", *by], sort=True).mean()
    grouped = per_video.groupby(level=list(by))
    return grouped.mean().assign(videos=grouped.size()).reset_index()


def when_full(table: DataFrame) -> DataFrame:
    """Rows of frames with more history than the capacity, or than the window, holds: before that
    nothing is evicted and every measure is 1."""
    if "capacity" in table.columns:
        return table[table["history"] > table["capacity"]]
    return table[table["frame"] > table["recent_frames"]]


def _about(video: Observed) -> dict[str, Any]:
    return {
        "video": video.name,
        "frames": video.frames,
        "steps": video.patches,
        "tokens": video.tokens,
    }
