"""A study's page: tables, figures, settings; one file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...framework.as_data import plain
from ..evaluation.summary import flagged_videos
from ..reports.drawing import write_figures
from ..reports.page import web_page
from ..reports.tables import Table
from ..reports.text import MISSING, formatted, number, scale, some
from .extrapolation import totals
from .figures import Figures, figures_of
from .options import AblateOptions
from .tidy import Study, write_tables

PAGE = "ablation.html"
SCALED = ("decoder_flops", "state_bytes", "archive_bytes")
LENGTHS = (64, 512, 3600)  # frames whose totals are listed
RESULTS = Markup("""\
Every measure with its 95 % interval (bootstrap over videos, because questions about
one video are not independent). The first column is the benchmark's own headline score,
<b>accuracy</b> the share of right answers over all questions; a question without a reply counts as
wrong. <b>To reference</b> is the paired difference in accuracy with McNemar's exact p-value.
<b>KL</b> is of the first new token's distribution from the reference, <b>agreement</b> the share of
equal tokens, <b>invalid</b> counts replies that give no answer; some benchmarks' own rules take
such replies too (OVO-Bench: any with the right letter in it). <b>NaN</b> counts questions at which
the model computed NaN or Inf: wrong, and without KL or agreement. Costs are means over questions:
decoder FLOPs of the video without vision, what later frames attend to (state), what questions read
(archive), milliseconds of decoder and memory per frame.""")


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
    longer = [(name, totals(run, LENGTHS)) for name, run in study.runs.items()]
    return web_page(
        "ablation/ablate.html",
        f"Memories on {type(options.benchmark).__name__}",
        options.note,
        about=_about(study, options),
        results=[_results(study, name, options) for name in study.runs],
        budget=matched,
        most_off=most_off,
        figures=figures,
        totals=[_longer_streams(name, curves) for name, curves in longer if curves],
        cells=[(name, _cells(study, name)) for name in study.runs],
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


def _cells(study: Study, name: str) -> Mapping[str, str]:
    return {
        cell: f"{settings['rule']}; reads {settings['reader']}, archive {settings['archive']}, "
        f"{settings['frames_per_step']} per step, {settings['in_frame']}"
        for cell, settings in study.runs[name].grid.settings.items()
    }


def _environments(study: Study) -> list[tuple[str, Mapping[str, Any]]]:
    """Of every model's rows; where they come from several machines, of each."""
    stamps = {
        (name, str(row["environment"])): {**row["environment"], "commit": row["commit"]}
        for name, run in study.runs.items()
        for row in run.rows
        if "environment" in row
    }
    return [(name, stamp) for (name, _), stamp in stamps.items()]


def _results(study: Study, name: str, options: AblateOptions) -> Table:
    """A line per cell of one model."""
    own = study.cells[study.cells["model"] == name].fillna(dict.fromkeys(SCALED, 0.0))
    scales = {column: scale(list(own[column])) for column in SCALED}
    (flops, _), (state, _), (archive, _) = scales.values()
    cells = own.to_dict("records")
    heads = [
        "cell", str(cells[0]["metric"]).replace("_", " "), "accuracy %", "to reference", "p",
        "KL (nats)", "agreement %", f"decoder {flops}FLOP", f"state {state}B",
        f"archive {archive}B", "ms per frame", "invalid",
    ]  # fmt: skip
    lines = [
        [
            str(cell["cell"]),
            formatted(cell["score"], ".1f"),
            _interval(cell, "accuracy", ".1f"),
            _interval(cell, "difference", "+.1f"),
            formatted(cell["mcnemar_p"], ".2g"),
            _interval(cell, "kl", ".2g") + _infinite(cell),
            _interval(cell, "agreement", ".0f", 100),
            *(formatted(cell[column] / unit, ".3g") for column, (_, unit) in scales.items()),
            formatted(cell["decoder_ms_per_frame"], ".3g"),
            f"{cell['invalid']:,}" + _nonfinite(cell),
        ]
        for cell in cells
    ]
    same = Markup(" <b>{}</b> is the same as {} and was run once.")
    twins = study.runs[name].grid.same.items()
    unread = Markup(" <b>{}</b> was not run: it carries nothing that the reader could read.")
    return Table(
        f"results-{name}",
        f"{name}: results",
        heads,
        lines,
        RESULTS
        + Markup().join(same.format(one, other) for one, other in twins)
        + Markup().join(map(unread.format, study.runs[name].grid.left_out)),
        marked=[place for place, cell in enumerate(cells) if cell["cell"] == options.reference],
    )


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


def _longer_streams(name: str, curves: Sequence[tuple[str, list[float]]]) -> Table:
    """Decoder FLOPs of streams longer than those that were run."""
    units = [scale(values) for values in zip(*(values for _, values in curves), strict=True)]
    heads = ["cells"]
    heads += [f"{n:,} frames ({most}FLOP)" for n, (most, _) in zip(LENGTHS, units, strict=True)]
    lines = [
        [cells, *(number(v / unit) for v, (_, unit) in zip(values, units, strict=True))]
        for cells, values in curves
    ]
    caption = "Decoder FLOPs of whole streams by closed form, cells of equal cost together."
    return Table(f"totals-{name}", f"{name}: longer streams", heads, lines, caption)


def _interval(cell: Mapping[str, Any], name: str, form: str, factor: float = 1.0) -> str:
    value, low, high = (cell[name + end] for end in ("", "_low", "_high"))
    if value is None or isnan(value):
        return MISSING
    text = f"{factor * value:{form}}"
    if low is None or isnan(low):
        return text
    bounds = f"[{factor * low:{form}}, {factor * high:{form}}]"
    return Markup("{} <small>{}</small>").format(text, bounds)


def _nonfinite(cell: Mapping[str, Any]) -> str:
    return f" + {cell['nonfinite']:,} NaN" if cell["nonfinite"] else ""


def _infinite(cell: Mapping[str, Any]) -> Markup:
    count = cell["kl_infinite"]
    return Markup(" <small>and {} infinite</small>").format(count) if count else Markup()
