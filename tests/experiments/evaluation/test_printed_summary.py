"""What a run tells on the terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from crossframe.experiments.evaluation.summary import print_summary


def cell(score: float, **more: Any) -> dict[str, Any]:
    counts = {"answered": 6, "invalid": 2, "nonfinite": 0, "missing": 1, "unreadable": 3}
    told = {"counts": counts, "difference": None, "decoder_flops": 1.25e12}
    scores = {"m_avg": score, "accuracy": 1.0}
    return {"scores": scores, "right": score + 1, **told, **more}


def told(**changes: Any) -> str:
    found: dict[str, Any] = {
        "questions": 12,
        "owed": 0,
        "passes": 5,
        "shared": 7,
        "missing": [],
        "unreadable": {},
        "flagged": {},
        "cells": {"full": cell(61.25)},
    }
    out = StringIO()
    print_summary(found | changes, Path("runs/first"), Console(file=out, width=80))
    return out.getvalue()


def test_a_line_per_cell_with_its_headline_score() -> None:
    difference = {"points": -3.2, "low": -7.75, "high": 1.0, "gained": 1, "lost": 2, "p_value": 1}
    cells = {
        "full": cell(61.25),
        "a cell with a name that is too long for its column": cell(58.05, difference=difference),
        "never asked": cell(0.0, decoder_flops=None),
    }
    text = told(cells=cells)
    assert max(len(line) for line in text.splitlines()) <= 80
    upper, head, _, full, *more = text.splitlines()
    assert [upper.split(), head.split()] == [
        ["right,", "points", "no"],
        ["cell", "m_avg", "right,", "%", "vs", "reference", "invalid", "video", "TFLOP"],
    ]
    assert full.split() == ["full", "61.25", "62.25", "2", "4", "1.25"]
    assert "-3.20 [-7.75, +1.00]" in more[0]
    assert "12 questions, 5 passes over videos; 7 questions shared another's pass" in text
    assert text.rstrip().endswith("Rows and all scores: runs/first")


def test_no_number_is_cut_at_eighty_columns() -> None:
    widest = {"points": -100.0, "low": -100.0, "high": -99.95, "gained": 1, "lost": 2}
    flops = {"full": 1.56e18, "small": 1.2e9}
    cells = {
        name: cell(100.0, difference=widest, right=100.0, decoder_flops=count)
        for name, count in flops.items()
    }
    lines = told(cells=cells).splitlines()
    assert max(map(len, lines)) <= 80
    for line, spent in zip(lines[3:5], ("1,560", "1.2e-06"), strict=True):
        assert line.split()[1:] == ["100.00", "100.00", "-100.00", "[-100.00,", "-99.95]", "2", "4",
            spent]  # fmt: skip
    assert "…" not in "".join(lines)


def test_what_is_owed_missing_or_unreadable_is_named() -> None:
    names = [f"video{number}" for number in range(7)]
    torn = {"clip": "clip.mp4: [bold] is torn"}
    text = told(owed=3, missing=names, unreadable=torn, flagged={"other": 3})
    assert "Damaged: other: FFmpeg flags 3 of the decoded frames as damaged" in text
    assert "UNFINISHED: 3 rows are owed; run the same command again" in text
    assert "No file of 7 videos: video0, video1, video2, video3, video4 and 2 more" in text
    assert "Cannot be read: clip: clip.mp4: [bold] is torn" in text
    assert "UNFINISHED" not in told()


def test_a_run_without_rows_has_no_table() -> None:
    text = told(cells={}, owed=24)
    assert "m_avg" not in text
    assert "24 rows are owed" in text


def test_what_was_computed_with_nan_is_named_by_cell() -> None:
    counts = {"answered": 6, "invalid": 2, "nonfinite": 4, "missing": 0, "unreadable": 0}
    text = told(cells={"full": cell(61.25), "window": cell(1.0, counts=counts)})
    assert text.count("NaN or Inf") == 1
    assert "NaN or Inf inside the model at 4 questions of window, counted as wrong" in text
