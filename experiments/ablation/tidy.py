"""A study's rows as two tidy tables: one line per question, one line per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ...framework.video import probe_video
from ..benchmarks.question import Question
from ..evaluation.folder import cell_hashes, resumed_config
from ..evaluation.rows import Row, read_rows
from ..evaluation.summary import summarise
from ..reports.tables import DataTable
from .measures import ACCURACY, AGREEMENT, KL
from .options import AblateOptions
from .settle import Plan

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
class ModelRun(Plan):
    """What was planned for a model, with the rows as `evaluate` wrote them."""

    rows: Sequence[Row]


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that tables, figures and the page show.

    Attributes:
        runs: by model, those that have rows.
        rows: a line per model, cell and question.
        cells: a line per model and cell.
        length: the column of `rows` with the length of the video, None if all are alike.
        owed: rows that are not there yet.
    """

    runs: Mapping[str, ModelRun]
    rows: DataTable
    cells: DataTable
    length: str | None
    owed: int


def read_study(options: AblateOptions, plans: Mapping[str, Plan]) -> Study:
    """The rows on disk, of all settled models that have some, as tables.

    Raises:
        ValueError: if there are none.
    """
    read = {name: _read_run(options, name, plans[name]) for name in options.models if name in plans}
    runs = {name: run for name, run in read.items() if run.rows}
    if not runs:
        raise ValueError(f"{options.output} holds no rows of {', '.join(options.models)}")
    questions = options.benchmark.questions()[: options.limit]
    delays = _delays(questions)
    rows = DataFrame(line for name, run in runs.items() for line in _lines(name, run, delays))
    cells = [line for name, run in runs.items() for line in _summaries(name, run, rows, options)]
    owed = sum(len(questions) * len(run.grid.cells) - len(run.rows) for run in runs.values())
    return Study(runs, rows, DataFrame(cells), _length_column(rows), owed)


def write_tables(study: Study, folder: Path) -> None:
    """`rows` and `cells`, each as parquet and CSV."""
    for name, table in (("rows", study.rows), ("cells", study.cells)):
        table.to_parquet(folder / f"{name}.parquet", index=False)
        table.to_csv(folder / f"{name}.csv", index=False)


def _read_run(options: AblateOptions, name: str, plan: Plan) -> ModelRun:
    asked = options.evaluation(name, plan.grid.cells)
    config = resumed_config(asked.output, asked.identity)
    return ModelRun(plan.look, plan.grid, read_rows(asked.output, cell_hashes(config)))


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


def _summaries(
    name: str, run: ModelRun, rows: DataTable, options: AblateOptions
) -> list[dict[str, Any]]:
    summaries = summarise(run.rows, options.benchmark, list(run.grid.cells), options.reference)
    lines = []
    for cell, summary in summaries.items():
        own = rows[(rows["model"] == name) & (rows["cell"] == cell)]
        metric, score = next(iter(summary["scores"].items()))
        lines.append(
            {
                "model": name,
                "cell": cell,
                **run.grid.settings[cell],
                "questions": summary["questions"],
                **summary["counts"],
                "metric": metric,
                "score": score,
                **ACCURACY.over(own),
                **_difference(summary["difference"]),
                **KL.over(own),
                **AGREEMENT.over(own),
                # The cell excludes a token outright that full attention does not.
                "kl_infinite": int((own["agreement"].notna() & own["kl_to_full"].isna()).sum()),
                **own[list(COSTS)].astype(float).mean(),
            }
        )
    return lines


def _difference(difference: Mapping[str, float] | None) -> dict[str, float | None]:
    names = ("difference", "difference_low", "difference_high", "gained", "lost", "mcnemar_p")
    theirs = ("points", "low", "high", "gained", "lost", "p_value")
    values = [None if difference is None else difference[name] for name in theirs]
    return dict(zip(names, values, strict=True))


def _delays(questions: Sequence[Question]) -> dict[str, float]:
    """Seconds between what answers a question and the question, where the benchmark tells."""
    delays: dict[str, float] = {}
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
            delays[question.id] = asked - question.evidence
    return delays


def _length_column(rows: DataTable) -> str | None:
    for name in LENGTH_GROUPS:
        if f"group_{name}" in rows.columns and rows[f"group_{name}"].nunique() > 1:
            return f"group_{name}"
    return "frames" if rows["frames"].nunique() > 1 else None
