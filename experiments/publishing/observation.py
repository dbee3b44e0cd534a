"""A run of `observe` as one result for docs/results/, and the tables that pages show of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..observation.tables import means
from ..reports.tables import markdown_table

Result = Mapping[str, Any]
MEASURES = ("captured", "captured_rolled", "weighted_recall", "retention", "churn")
MEANT = {
    "captured": "captured mass, best in hindsight",
    "captured_rolled": "captured mass, rolled out",
    "weighted_recall": "weighted recall",
    "weighted_recall_past": "weighted recall, earlier frames only",
    "retention": "retention",
    "churn": "churn",
}
WINDOWS = {
    "captured_recent": "last R frames",
    "captured_recent_sinks": "last R frames and first 4 tokens",
    "captured_best": "as many best tokens",
    "gap": "gap of the last R frames",
}


def observed_result(folder: Path) -> dict[str, Any]:
    """What the `summary.json` in a run's folder tells, with the means of every layer beside."""
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    layers = _by_layer(folder / "rows.parquet", "capacity", MEASURES)
    gaps = _by_layer(folder / "recency.parquet", "recent_frames", ("gap",))
    return {**summary, "means_by_layer": layers, "gap_by_layer": gaps}


def observed_table(result: Result) -> str:
    """Evidence by capacity and by window of last frames, means over layers, frames and streams."""
    by_slots = _table(result["means"], "slots B", "capacity", MEANT)
    return f"{by_slots}\n\n{_table(result['recency'], 'last frames R', 'recent_frames', WINDOWS)}"


def _table(rows: Sequence[Result], head: str, column: str, meant: Mapping[str, str]) -> str:
    """Values of a column across, and a row per measure of the level that sums over heads."""
    chosen = [row for row in rows if row["level"] == "layer"]
    cells = [[words, *(f"{row[name]:.2f}" for row in chosen)] for name, words in meant.items()]
    return markdown_table([head, *(str(row[column]) for row in chosen)], cells)


def _by_layer(path: Path, column: str, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Means over the frames of each stream and then over streams."""
    rows: Any = pd.read_parquet(path)
    by_layer = means(rows[rows["level"] == "layer"], ["layer", column])
    return by_layer[["layer", column, *measures]].round(4).to_dict("records")
