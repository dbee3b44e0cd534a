"""A run as a result: what pages show of it is in its rows."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crossframe.experiments.publishing.observation import observed_result, observed_table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streams of different lengths, two layers."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "summary.json").write_text('{"means": [], "recency": []}', "utf-8")
    rows = [
        {"video": video, "level": level, "layer": layer, "capacity": 4, "recent_frames": 1}
        | dict.fromkeys(
            ("captured", "captured_rolled", "weighted_recall", "retention", "churn", "gap"),
            value + layer if level == "layer" else 99.0,
        )
        for video, values in (("a", (1.0, 3.0)), ("b", (5.0,)))
        for value in values
        for layer in (0, 1)
        for level in ("layer", "head")
    ]
    for name in ("rows", "recency"):
        pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet")
    return folder


def test_every_stream_counts_once_in_a_layers_means(run: Path) -> None:
    result = observed_result(run)
    (first, second), gaps = result["means_by_layer"], result["gap_by_layer"]
    assert (first["layer"], first["capacity"], first["captured"]) == (0, 4, 3.5)
    assert second["churn"] == 4.5
    assert gaps == [
        {"layer": 0, "recent_frames": 1, "gap": 3.5},
        {"layer": 1, "recent_frames": 1, "gap": 4.5},
    ]


def test_tables_show_the_level_that_sums_over_heads() -> None:
    measures = ("captured", "captured_rolled", "weighted_recall", "weighted_recall_past")
    windows = ("captured_recent", "captured_recent_sinks", "captured_best", "gap")
    result: dict[str, Any] = {
        "means": [
            {"level": level, "capacity": slots}
            | dict.fromkeys((*measures, "retention", "churn"), slots / 100 + (level == "head"))
            for level in ("head", "layer")
            for slots in (4, 16)
        ],
        "recency": [
            {"level": level, "recent_frames": 2} | dict.fromkeys(windows, 0.25 + (level == "head"))
            for level in ("head", "layer")
        ],
    }
    text = observed_table(result)
    assert "| slots B | 4 | 16 |" in text and "| retention | 0.04 | 0.16 |" in text
    assert "| last frames R | 2 |" in text and "| gap of the last R frames | 0.25 |" in text
    assert "1." not in text
