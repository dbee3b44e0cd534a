"""All figures of a study, and why some are left out."""

from __future__ import annotations

from dataclasses import dataclass

from ..reports.drawing import Drawing
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
    """All figures of a study, model by model."""
    made = Figures([], [])
    for name, run in study.runs.items():
        cells = study.cells[study.cells["model"] == name]
        rows = study.rows[study.rows["model"] == name]
        if cells["decoder_flops"].isna().all():
            made.left_out.append(f"{name}: no question could be asked, so nothing is drawn.")
            continue
        made.drawings.append(tradeoff(name, cells, options.reference))
        _broken_down(made, name, rows, study, options)
        curves = extrapolation(name, run, options.extrapolate)
        if curves is not None:
            made.drawings.append(curves)
    if len(study.runs) > 1 and made.drawings:
        known = study.cells.dropna(subset=["decoder_flops"])
        made.drawings.append(across_models(known, options.reference))
    return made


def amounts_of(options: AblateOptions) -> str:
    """What the amounts of a study are of."""
    if options.budget is not None:
        return "capacity matched" if options.budget.like else options.budget.quantity.noun
    if options.windows:
        return "slots per KV head, or frames" if options.capacities else "frames"
    return "slots per KV head"


def _broken_down(
    made: Figures, name: str, rows: DataTable, study: Study, options: AblateOptions
) -> None:
    asked = rows.dropna(subset=["frames"])
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
        drawing = how and breakdown(name, asked, how, options.reference, amount)
        if drawing is None:
            made.left_out.append(f"{name}: nothing {otherwise}.")
        else:
            made.drawings.append(drawing)
