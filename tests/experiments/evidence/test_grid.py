"""Memories down, readers across."""

from __future__ import annotations

from typing import Any

import pytest

from crossframe.experiments.evidence.grid import clip_grid_table, grid_tables
from crossframe.experiments.evidence.results import Results

CELLS = ("full", "full × rekv", "statekv", "statekv × rekv", "isolated", "isolated × rekv")


def row(cell: str, stream: int, suite: str, **found: Any) -> dict[str, Any]:
    return {"cell": cell, "suite": suite, "question": f"{suite}/{stream}", "groups": {}, **found}


def test_a_row_a_memory_and_a_column_a_reader() -> None:
    rows = [
        row("statekv", 0, "needle", needles_right_archive=[True, False],
            needles_right_carried=[False, False]),
        row("statekv", 1, "needle", needles_right_archive=[True, True],
            needles_right_carried=[True, False]),
        row("statekv × rekv", 0, "needle", needles_right_archive=[False, False]),
        row("isolated", 0, "needle", needles_right_archive=[True, True]),
        row("statekv", 0, "prose", continuation_kl_archive=0.25, continuation_kl_carried=0.5),
    ]  # fmt: skip
    config = {"cells": {cell: {} for cell in CELLS}, "reference": "full", "tokens": 1024}
    needles, continuation = grid_tables(Results(rows, config))
    assert needles.heads == ["memory", "all", "rekv", "carried"]
    assert needles.lines == [
        ["full", "", "", ""],
        ["statekv", "0.750", "0.000", "0.250"],
        ["isolated", "1.000", "", ""],
    ]
    assert continuation.lines[1] == ["statekv", "0.250", "", "0.500"]


def test_clips_have_a_grid_of_the_tasks_learnt() -> None:
    def asked(now: bool, tally: bool, **more: list[bool]) -> dict[str, Any]:
        told = {"age": [1], "right_archive": [now], **more}
        return {"now": told, "tally": {"age": [3], "right_archive": [tally]}}

    rows = [
        row("full", 0, "clips", asked=asked(True, False)),
        row("statekv", 0, "clips", asked=asked(True, True, right_carried=[False])),
        row("statekv × rekv", 0, "clips", asked=asked(False, True)),
    ]
    config = {"cells": {cell: {} for cell in CELLS}, "reference": "full", "frames": 32}
    table = clip_grid_table(Results(rows, config))
    assert table.heads == ["memory", "all", "rekv", "carried"]
    assert table.lines[:2] == [["full", "1.000", "", ""], ["statekv", "1.000", "0.000", "0.000"]]
    assert table.caption.endswith("Clips of 32 frames; mean over now.")


def test_an_untrained_model_has_no_grid_of_clips() -> None:
    asked = {"now": {"age": [1], "right_archive": [False]}}
    config = {"cells": {"full": {}}, "reference": "full", "frames": 32}
    with pytest.raises(ValueError, match="has learnt no task of this run: show a trained model"):
        clip_grid_table(Results([row("full", 0, "clips", asked=asked)], config))


def test_a_suite_that_was_not_run_has_no_grid() -> None:
    config = {"cells": {"full": {}}, "reference": "full", "tokens": 1024}
    rows = [row("full", 0, "prose", continuation_kl_archive=0.0)]
    assert [table.name for table in grid_tables(Results(rows, config))] == ["continuation"]
