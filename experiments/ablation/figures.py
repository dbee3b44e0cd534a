"""All figures of a study, and why some are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..reports.drawing import Drawing, Style, family_styles
from ..reports.tables import DataTable
from .breakdown import breakdown, by_delay, by_length
from .extrapolation import extrapolation
from .options import AblateOptions
from .tidy import Study
from .tradeoff import across_models, tradeoff


@dataclass(frozen=True)
class Figures:
    """What could be drawn, in the order of the page, and a sentence for each that could not."""

    drawings: list[Drawing]
    left_out: list[str]


def figures_of(study: Study, options: AblateOptions) -> Figures:
    """All figures of a study, each of all its models."""
    made = Figures([], [])
    known = study.cells.dropna(subset=["decoder_flops"])
    runs = {name: run for name, run in study.runs.items() if name in set(known["model"])}
    for name in study.runs:
        if name not in runs:
            made.left_out.append(f"{name}: no question could be asked, so nothing is drawn.")
    if known.empty:
        return made
    marks = curve_marks(study.cells, options.reference)
    made.drawings.append(tradeoff(known, marks, options.reference))
    if known["model"].nunique() > 1:
        made.drawings.append(across_models(known, marks))
    _broken_down(made, study, marks, options)
    curves = extrapolation(runs, cell_marks(study.cells), options.extrapolate)
    if curves is not None:
        made.drawings.append(curves)
    return made


def curve_marks(cells: DataTable, reference: str | None) -> dict[str, Style]:
    """A style for each memory over its amounts; the reference is a star."""
    marks = family_styles(dict(zip(cells["family"], cells["innermost"], strict=True)))
    if reference in marks:
        marks[reference] = replace(marks[reference], marker="*")
    return marks


def cell_marks(cells: DataTable) -> dict[str, Style]:
    """A style for each cell, in the same colours."""
    return family_styles(dict(zip(cells["cell"], cells["innermost"], strict=True)))


def amounts_of(options: AblateOptions) -> str:
    """What the amounts of a study are of."""
    if options.budget is not None:
        return "capacity matched" if options.budget.like else options.budget.quantity.noun
    if options.windows:
        return "slots per KV head, or frames" if options.capacities else "frames"
    return "slots per KV head"


def _broken_down(
    made: Figures, study: Study, marks: Mapping[str, Style], options: AblateOptions
) -> None:
    asked = study.rows.dropna(subset=["frames"])
    delays, amount = asked["delay_s"].notna().any(), amounts_of(options)
    ways = (
        (
            None if study.length is None else by_length(study.length),
            "by length of the video, because all questions saw equally many frames and the "
            "benchmark does not group its videos by length",
        ),
        (
            by_delay() if delays else None,
            "by delay since the evidence, because "
            + ("all delays are alike" if delays else "the benchmark does not tell them"),
        ),
    )
    for how, otherwise in ways:
        drawing = how and breakdown(asked, how, marks, options.reference, amount)
        if drawing is None:
            made.left_out.append(f"Nothing {otherwise}.")
        else:
            made.drawings.append(drawing)
