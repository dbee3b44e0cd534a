"""A study's page: tables, figures, settings; one file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...framework.as_data import plain
from ..evaluation.summary import flagged_videos
from ..reports.drawing import write_figures
from ..reports.page import web_page
from ..reports.tables import Table
from ..reports.text import formatted, number, scale, some
from .extrapolation import totals
from .figures import Figures, figures_of
from .options import AblateOptions
from .results import results_tables
from .tidy import Study, write_tables

PAGE = "ablation.html"
LENGTHS = (64, 512, 3600)  # frames whose totals are listed


def write_report(study: Study, options: AblateOptions) -> Path:
    """Tables, figures and the page, into the study's folder; the path of the page."""
    folder = Path(options.output)
    write_tables(study, folder)
    figures = figures_of(study, options)
    write_figures(figures.drawings, folder)
    page = folder / PAGE
    page.write_text(page_text(study, options, figures), "utf-8")
    return page


def page_text(study: Study, options: AblateOptions, figures: Figures) -> str:
    """The whole page."""
    matched, most_off = _budget(study, options)
    settings = plain(options)["init_args"]
    return web_page(
        "ablation/ablate.html",
        f"Memories on {type(options.benchmark).__name__}",
        options.note,
        about=_about(study, options),
        results=results_tables(study, options),
        budget=matched,
        most_off=most_off,
        figures=figures,
        totals=_longer_streams(study),
        cells=_cells(study),
        settings={name: value for name, value in settings.items() if name != "note"},
        environments=_environments(study),
    )


def _about(study: Study, options: AblateOptions) -> Markup:
    rows = study.rows
    asked = rows.drop_duplicates(["model", "question"])
    refused = rows[rows["status"].isin(["missing", "unreadable"])]
    parts = [
        f"{asked['question'].nunique():,} questions about {asked['video'].nunique():,} videos, "
        f"{len(study.runs)} of {len(options.models)} models, {len(study.cells):,} cells."
    ]
    if len(refused):
        names = list(refused["video"].unique())
        told = Markup(
            "<b>{:,} videos were missing or could not be read</b>; their questions count as wrong: "
            "{}."
        )
        parts.append(told.format(len(names), some(names)))
    flagged = flagged_videos(row for run in study.runs.values() for row in run.rows)
    if flagged:
        names = [f"{video} ({count:,})" for video, count in flagged.items()]
        told = Markup(
            "<b>FFmpeg flags frames of {:,} videos as damaged</b>; what is shown of them may be "
            "wrong: {}."
        )
        parts.append(told.format(len(names), some(names)))
    if study.owed:
        unfinished = Markup("<b>Unfinished: {:,} rows are owed.</b> Run the command again.")
        parts.append(unfinished.format(study.owed))
    return Markup(" ").join(parts)


def _cells(study: Study) -> dict[str, str]:
    """What each cell is, once where it is the same on all models."""
    told: dict[str, dict[str, list[str]]] = {}
    for model, run in study.runs.items():
        for cell, settings in run.grid.settings.items():
            told.setdefault(cell, {}).setdefault(_cell(settings), []).append(model)
    return {
        cell if len(rules) == 1 else f"{cell}, {', '.join(models)}": rule
        for cell, rules in told.items()
        for rule, models in rules.items()
    }


def _cell(settings: Mapping[str, Any]) -> str:
    return (
        f"{settings['rule']}; reads {settings['reader']}, archive {settings['archive']}, "
        f"{settings['frames_per_step']} per step, {settings['in_frame']}"
    )


def _environments(study: Study) -> list[tuple[str, Mapping[str, Any]]]:
    """Of every model's rows; where they come from several machines, of each."""
    stamps = {
        (name, str(row["environment"])): {**row["environment"], "commit": row["commit"]}
        for name, run in study.runs.items()
        for row in run.rows
        if "environment" in row
    }
    return [(name, stamp) for (name, _), stamp in stamps.items()]


def _budget(study: Study, options: AblateOptions) -> tuple[Table | None, float]:
    """What was matched: wanted, worked out by the dry run, and the size that has it; and by what
    share the worst is off."""
    if options.budget is None:
        return None, 0.0
    what = options.budget.quantity.noun
    sized = study.cells.dropna(subset=["wanted"]).drop_duplicates(
        ["model", "memory", "wrapper", "amount"]
    )
    cells = sized.to_dict("records")
    heads = ["cell", "model", f"wanted {what}", "attained", "off by"]
    heads += ["by setting", "state of a run"]
    lines = [
        [
            str(cell["cell"]),
            str(cell["model"]),
            number(cell["wanted"]),
            number(cell["attained"]),
            f"{cell['attained'] / cell['wanted'] - 1:+.2%}",
            f"{cell['sized_by']} = {cell['size']:.4g}",
            formatted(cell["state_bytes"], ",.0f", "0") + " B",
        ]
        for cell in cells
    ]
    like = "" if options.budget.like is None else f", as {options.budget.like!r} has"
    caption = Markup(
        "All memories have equally many <b>{}</b>{}. Attained is what a dry run of a few frames on "
        "the model says of the size, once the state is full; the last column is what the evaluated "
        "sessions held at their questions, over all layers and with the last frame, which is less "
        "where videos are too short to fill it."
    ).format(what, like)
    most_off = max(abs(cell["attained"] / cell["wanted"] - 1) for cell in cells)
    return Table("budget", f"Budget: equal {what}", heads, lines, caption), most_off


def _longer_streams(study: Study) -> Table | None:
    """Decoder FLOPs of streams longer than those that were run; None where no model is known."""
    found = [
        (name, cells, own)
        for name, run in study.runs.items()
        for cells, own in totals(run, LENGTHS)
    ]
    if not found:
        return None
    units = [scale(values) for values in zip(*(values for _, _, values in found), strict=True)]
    heads = ["cells", "model"]
    heads += [f"{n:,} frames ({most}FLOP)" for n, (most, _) in zip(LENGTHS, units, strict=True)]
    lines = [
        [cells, name, *(number(v / unit) for v, (_, unit) in zip(values, units, strict=True))]
        for name, cells, values in found
    ]
    caption = "Decoder FLOPs of whole streams by closed form, cells of equal cost together."
    better = (0, 0, *([-1] * len(LENGTHS)))
    return Table("totals", "Longer streams", heads, lines, caption, better=better)
