"""What the cells of a study come to, as tables: all models side by side, and every measure."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from markupsafe import Markup

from ..reports.tables import Table
from ..reports.text import MISSING, formatted, scale
from .options import AblateOptions
from .tidy import Study

SCALED = ("decoder_flops", "state_bytes", "archive_bytes")
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
SIDE_BY_SIDE = Markup("""\
A line for each cell, a group of columns for each model, every measure as below, where the costs
are, too.""")
Cell = Mapping[str, Any]


def results_tables(study: Study, options: AblateOptions) -> list[Table]:
    """Every measure of every cell; several models first side by side."""
    measures = _measures(study, options)
    return [measures] if len(study.runs) == 1 else [_side_by_side(study, options), measures]


def _side_by_side(study: Study, options: AblateOptions) -> Table:
    """A line per cell, a group of columns per model."""
    state, unit = scale(list(study.cells["state_bytes"].fillna(0.0)))
    by_place = {(cell["model"], cell["cell"]): cell for cell in study.cells.to_dict("records")}
    heads = [_metric(study), "accuracy %", "to reference", "KL (nats)", f"state {state}B"]
    names = list(study.cells["cell"].unique())
    lines = [
        [name, *(text for model in study.runs for text in _key(by_place.get((model, name)), unit))]
        for name in names
    ]
    models = len(study.runs)
    return Table(
        "results",
        "Results",
        ["cell", *(models * heads)],
        lines,
        SIDE_BY_SIDE,
        kinds=["", *(models * ["first", "", "", "", ""])],
        groups=[("", 1), *((model, len(heads)) for model in study.runs)],
        marked=[place for place, name in enumerate(names) if name == options.reference],
        better=[0, *(models * [1, 1, 0, -1, -1])],
    )


def _key(cell: Cell | None, unit: float) -> list[str]:
    """What is shown of a cell side by side; None was not run."""
    if cell is None:
        return [MISSING] * 5
    return [
        formatted(cell["score"], ".1f"),
        _interval(cell, "accuracy", ".1f"),
        _interval(cell, "difference", "+.1f"),
        _interval(cell, "kl", ".2g") + _infinite(cell),
        formatted(cell["state_bytes"] / unit, ".3g"),
    ]


def _measures(study: Study, options: AblateOptions) -> Table:
    """A line per model and cell."""
    own = study.cells.fillna(dict.fromkeys(SCALED, 0.0))
    scales = {column: scale(list(own[column])) for column in SCALED}
    (flops, _), (state, _), (archive, _) = scales.values()
    cells = own.to_dict("records")
    heads = [
        "cell", "model", _metric(study), "accuracy %", "to reference", "p", "KL (nats)",
        "agreement %", f"decoder {flops}FLOP", f"state {state}B", f"archive {archive}B",
        "ms per frame", "invalid",
    ]  # fmt: skip
    lines = [
        [
            str(cell["cell"]),
            str(cell["model"]),
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
    several = len(study.runs) > 1
    return Table(
        "measures" if several else "results",
        "Every measure" if several else f"{next(iter(study.runs))}: results",
        heads,
        lines,
        RESULTS + _remarks(study),
        marked=[place for place, cell in enumerate(cells) if cell["cell"] == options.reference],
        better=(0, 0, 1, 1, 0, 0, -1, 1, -1, -1, -1, -1, -1),
    )


def _metric(study: Study) -> str:
    return str(study.cells["metric"].iloc[0]).replace("_", " ")


def _remarks(study: Study) -> Markup:
    """Cells that were not run, each once, with its models where not all have it."""
    same = Markup(" <b>{}</b> is the same as {} and was run once{}.")
    unread = Markup(" <b>{}</b> was not run: nothing is held that the reader could read{}.")
    models: dict[tuple[Markup, tuple[str, ...]], list[str]] = {}
    for model, run in study.runs.items():
        for twins in run.grid.same.items():
            models.setdefault((same, twins), []).append(model)
        for name in run.grid.left_out:
            models.setdefault((unread, (name,)), []).append(model)
    return Markup().join(
        text.format(*names, "" if len(own) == len(study.runs) else f" ({', '.join(own)})")
        for (text, names), own in models.items()
    )


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
