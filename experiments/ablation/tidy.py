"""What a study's rows say as two tidy tables: one line per question, one line per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...framework.video import probe_video
from ..benchmarks.question import Question
from ..evaluation.folder import cell_hashes, resumed_config
from ..evaluation.rows import Row, read_rows
from ..evaluation.summary import summarise
from ..reports.intervals import interval_by_video
from .grid import Grid, grid
from .options import AblateOptions
from .settle import Look, read_settled

Table = Any  # a pandas DataFrame, whose own types get lost at the first selection
KEPT = (
    *("question", "video", "status", "answer", "parsed", "correct", "agreement", "kl_to_full"),
    *("frames", "flagged_frames", "tokens", "decoder_flops", "decoder_ms", "vision_ms", "ask_ms"),
    *("reply_tokens", "state_bytes", "archive_bytes"),
)
COSTS = (
    *("decoder_flops", "decoder_ms_per_frame", "vision_ms_per_frame", "ask_ms"),
    *("state_bytes", "archive_bytes"),
)
# Ways of grouping that are the length of the video, each in its benchmark.
LENGTH_GROUPS = ("duration", "duration_group")


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One model's part of a study.

    Attributes:
        grid: its cells.
        look: what is known of the model, None where no video could be read.
        rows: as `evaluate` wrote them.
    """

    grid: Grid
    look: Look | None
    rows: Sequence[Row]


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that tables, figures and the page tell.

    Attributes:
        runs: by model, those that have rows.
        rows: a line per model, cell and question.
        cells: a line per model and cell.
        length: the column of `rows` with the length of the video, None if all are alike.
        owed: rows that are not there yet.
    """

    runs: Mapping[str, ModelRun]
    rows: Table
    cells: Table
    length: str | None
    owed: int


def read_study(options: AblateOptions) -> Study:
    """The rows on disk, of all models that have some, as tables.

    Raises:
        ValueError: if there are none.
    """
    from pandas import DataFrame

    runs = {name: run for name in options.models if (run := _read_run(options, name)) is not None}
    if not runs:
        raise ValueError(f"{options.output} holds no rows of {', '.join(options.models)}")
    questions = options.benchmark.questions()[: options.limit]
    delays = _delays(questions)
    lines = [line for name, run in runs.items() for line in _lines(name, run, delays)]
    rows = DataFrame(lines)
    cells = [line for name, run in runs.items() for line in _summaries(name, run, options)]
    owed = sum(len(questions) * len(run.grid.cells) - len(run.rows) for run in runs.values())
    return Study(runs, rows, DataFrame(cells), _length_column(rows), owed)


def write_tables(study: Study, folder: Path) -> None:
    """`rows` and `cells`, each as parquet and CSV."""
    for name, table in (("rows", study.rows), ("cells", study.cells)):
        table.to_parquet(folder / f"{name}.parquet", index=False)
        table.to_csv(folder / f"{name}.csv", index=False)


def _read_run(options: AblateOptions, name: str) -> ModelRun | None:
    folder = options.output / name
    settled = read_settled(folder)
    if settled is None:
        return None
    cells = grid(options, settled.size)
    told = options.evaluation(options.models[name], cells.cells, folder, options.reference)
    rows = read_rows(folder, cell_hashes(resumed_config(folder, told.identity)))
    return ModelRun(cells, settled.look, rows) if rows else None


def _lines(name: str, run: ModelRun, delays: Mapping[str, float]) -> list[dict[str, Any]]:
    """A line per cell and question, settings and groups as columns."""
    return [
        {
            "model": name,
            "cell": row["cell"],
            **run.grid.settings[row["cell"]],
            **{column: row.get(column) for column in KEPT},
            "decoder_ms_per_frame": _per_frame(row, "decoder_ms"),
            "vision_ms_per_frame": _per_frame(row, "vision_ms"),
            "delay_s": delays.get(row["question"]),
            **{f"group_{group}": value for group, value in row["groups"].items()},
        }
        for row in run.rows
    ]


def _per_frame(row: Row, name: str) -> float | None:
    return row[name] / row["frames"] if row.get("frames") else None


def _summaries(name: str, run: ModelRun, options: AblateOptions) -> list[dict[str, Any]]:
    summary = summarise(run.rows, options.benchmark, list(run.grid.cells), options.reference)
    lines = []
    for cell, found in summary.items():
        own = [row for row in run.rows if row["cell"] == cell]
        metric, score = next(iter(found["scores"].items()))
        lines.append(
            {
                "model": name,
                "cell": cell,
                **run.grid.settings[cell],
                "questions": found["questions"],
                **found["counts"],
                "metric": metric,
                "score": score,
                **_with_interval("accuracy", own, lambda row: 100.0 * row["correct"]),
                **_difference(found["difference"]),
                **_with_interval("kl", own, lambda row: row.get("kl_to_full")),
                **_with_interval("agreement", own, lambda row: row.get("agreement")),
                "kl_infinite": sum(_infinite(row) for row in own),
                **{column: _mean(own, column) for column in COSTS},
            }
        )
    return lines


def mean_by_video(
    name: str, values: Sequence[float], videos: Sequence[str]
) -> dict[str, float | None]:
    """Mean as `name`, its interval as `name_low` and `name_high`; None without values, and no
    interval over a single video, which says nothing about others."""
    mean = float(np.mean(values)) if len(values) else None
    low, high = (None, None) if len(set(videos)) < 2 else interval_by_video(values, videos)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _with_interval(name: str, rows: Sequence[Row], value_of: Any) -> dict[str, float | None]:
    """Of the rows that have the value."""
    known = [(value, row["video"]) for row in rows if (value := value_of(row)) is not None]
    return mean_by_video(name, [value for value, _ in known], [video for _, video in known])


def _difference(found: Mapping[str, float] | None) -> dict[str, float | None]:
    names = {
        "difference": "points",
        "difference_low": "low",
        "difference_high": "high",
        "gained": "gained",
        "lost": "lost",
        "mcnemar_p": "p_value",
    }
    return {ours: None if found is None else found[theirs] for ours, theirs in names.items()}


def _infinite(row: Row) -> bool:
    """Whether the cell excludes a token outright that full attention does not."""
    return row.get("agreement") is not None and row.get("kl_to_full") is None


def _mean(rows: Sequence[Row], column: str) -> float | None:
    per_frame = column.endswith("_per_frame")
    name = column.removesuffix("_per_frame")
    values = [_per_frame(row, name) if per_frame else row.get(name) for row in rows]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _delays(questions: Sequence[Question]) -> dict[str, float]:
    """Seconds between what answers a question and the question, where the benchmark tells."""
    found: dict[str, float] = {}
    for question in questions:
        if question.evidence is None:
            continue
        asked = question.end
        if asked is None and question.path is not None:
            try:
                asked = probe_video(question.path).duration
            except ValueError:
                continue
        if asked is not None and asked >= question.evidence:
            found[question.id] = asked - question.evidence
    return found


def _length_column(rows: Table) -> str | None:
    for name in LENGTH_GROUPS:
        if f"group_{name}" in rows.columns and rows[f"group_{name}"].nunique() > 1:
            return f"group_{name}"
    return "frames" if rows["frames"].nunique() > 1 else None
