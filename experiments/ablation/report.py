"""A study's page: tables, figures, settings; one file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...framework.as_data import plain
from ..evaluation.summary import flagged_videos
from ..reports.page import web_page
from .figures import Figures, figures_of
from .options import AblateOptions
from .page_tables import budget, longer_streams, results
from .tidy import Study, write_tables

PAGE = "ablation.html"


def write_report(study: Study, options: AblateOptions) -> Path:
    """Tables, figures and the page, into the study's folder; the path of the page."""
    folder = Path(options.output)
    write_tables(study, folder)
    figures = figures_of(study, options)
    (folder / "figures").mkdir(exist_ok=True)
    for drawing in figures.drawings:
        drawing.write(folder / "figures")
    page = folder / PAGE
    page.write_text(page_text(study, options, figures), "utf-8")
    return page


def page_text(study: Study, options: AblateOptions, figures: Figures) -> str:
    """The whole page."""
    matched, most_off = budget(study, options)
    return web_page(
        "ablation/ablate.html",
        f"Memories on {type(options.benchmark).__name__}",
        options.note,
        about=_about(study, options),
        results=[results(study, name, options) for name in study.runs],
        budget=matched,
        most_off=most_off,
        figures=figures,
        totals=[found for name in study.runs if (found := longer_streams(study, name))],
        cells=[(name, _cells(study, name)) for name in study.runs],
        settings=_settings(options),
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
        names = refused["video"].unique()
        parts.append(
            Markup(
                "<b>{:,} videos were missing or could not be read</b>; their questions count as "
                "wrong: {}{}."
            ).format(len(names), ", ".join(names[:5]), " ..." if len(names) > 5 else "")
        )
    flagged = flagged_videos(row for run in study.runs.values() for row in run.rows)
    if flagged:
        named = [f"{video} ({count:,})" for video, count in list(flagged.items())[:5]]
        parts.append(
            Markup(
                "<b>FFmpeg flags frames of {:,} videos as damaged</b>; what is shown of them may "
                "be wrong: {}{}."
            ).format(len(flagged), ", ".join(named), " ..." if len(flagged) > 5 else "")
        )
    if study.owed:
        unfinished = Markup("<b>Unfinished: {:,} rows are owed.</b> Run the command again.")
        parts.append(unfinished.format(study.owed))
    return Markup(" ").join(parts)


def _cells(study: Study, name: str) -> Mapping[str, str]:
    return {
        cell: f"{settings['rule']}; reads {settings['reader']}, archive {settings['archive']}, "
        f"{settings['frames_per_step']} per step, {settings['in_frame']}"
        for cell, settings in study.runs[name].grid.settings.items()
    }


def _settings(options: AblateOptions) -> Mapping[str, Any]:
    settings = plain(options)["init_args"]
    return {name: value for name, value in settings.items() if name != "note"}


def _environments(study: Study) -> list[tuple[str, Mapping[str, Any]]]:
    """Of every model's rows; where they come from several machines, of each."""
    found = []
    for name, run in study.runs.items():
        stamps = {str(row["environment"]): row for row in run.rows if "environment" in row}
        for row in stamps.values():
            found.append((name, {**row["environment"], "commit": row["commit"]}))
    return found
