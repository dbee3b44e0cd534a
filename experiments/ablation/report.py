"""A study's page: tables, figures, settings; one file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ..evaluation.options import plain
from ..evaluation.summary import flagged_videos
from ..reports.page import definitions, figure, web_page
from .figures import Figures, figures_of
from .options import AblateOptions
from .page_tables import budget, longer_streams, results
from .tidy import Study, write_tables

PAGE = "ablation.html"


def write_report(study: Study, options: AblateOptions) -> Path:
    """Tables, figures and the page, into the study's folder; the path of the page."""
    folder = Path(options.output)
    write_tables(study, folder)
    found = figures_of(study, options)
    (folder / "figures").mkdir(exist_ok=True)
    for drawing in found.drawings:
        drawing.write(folder / "figures")
    page = folder / PAGE
    page.write_text(page_text(study, options, found), "utf-8")
    return page


def page_text(study: Study, options: AblateOptions, figures: Figures) -> str:
    """The whole page."""
    left_out = "\n".join(f"<li>{escape(why)}</li>" for why in figures.left_out)
    return web_page(
        Path(__file__).with_name("ablate.html"),
        f"Memories on {type(options.benchmark).__name__}",
        options.note,
        about=_about(study, options),
        results="\n".join(results(study, name, options) for name in study.runs),
        budget=budget(study, options),
        figures="\n".join(figure(drawing) for drawing in figures.drawings),
        left_out=f"<h2>Left out</h2>\n<ul>{left_out}</ul>" if left_out else "",
        totals="\n".join(longer_streams(study, name) for name in study.runs),
        cells="\n".join(_cells(study, name) for name in study.runs),
        settings=definitions(_settings(options)),
        environment=_environment(study),
    )


def _about(study: Study, options: AblateOptions) -> str:
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
            f"<b>{len(names):,} videos were missing or could not be read</b>; their questions "
            f"count as wrong: {escape(', '.join(names[:5]))}{' ...' if len(names) > 5 else ''}."
        )
    flagged = flagged_videos(row for run in study.runs.values() for row in run.rows)
    if flagged:
        told = [f"{video} ({count:,})" for video, count in list(flagged.items())[:5]]
        parts.append(
            f"<b>FFmpeg flags frames of {len(flagged):,} videos as damaged</b>; what is shown of "
            f"them may be wrong: {escape(', '.join(told))}{' ...' if len(flagged) > 5 else ''}."
        )
    if study.owed:
        parts.append(f"<b>Unfinished: {study.owed:,} rows are owed.</b> Run the command again.")
    return " ".join(parts)


def _cells(study: Study, name: str) -> str:
    rules = {
        cell: f"{settings['rule']}; reads {settings['reader']}, archive {settings['archive']}, "
        f"{settings['frames_per_step']} per step, {settings['in_frame']}"
        for cell, settings in study.runs[name].grid.settings.items()
    }
    return f"<p><b>{escape(name)}</b></p>\n{definitions(rules)}"


def _settings(options: AblateOptions) -> Mapping[str, Any]:
    settings = plain(options)["init_args"]
    return {name: value for name, value in settings.items() if name != "note"}


def _environment(study: Study) -> str:
    """Of every model's rows; where they come from several machines, of each."""
    parts = []
    for name, run in study.runs.items():
        stamps = {str(row["environment"]): row for row in run.rows if "environment" in row}
        for row in stamps.values():
            stamp = {**row["environment"], "commit": row["commit"]}
            parts.append(f"<p><b>{escape(name)}</b></p>\n{definitions(stamp)}")
    return "\n".join(parts)
