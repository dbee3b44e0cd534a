"""Tables of a study's page."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from markupsafe import Markup

from ..reports.tables import Table
from ..reports.text import MISSING, formatted, number, scale
from .extrapolation import totals
from .options import AblateOptions
from .tidy import Study

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


def results(study: Study, name: str, options: AblateOptions) -> Table:
    """A line per cell of one model."""
    cells = study.cells[study.cells["model"] == name].to_dict("records")
    flops, flops_unit = scale([_known(cell["decoder_flops"]) for cell in cells])
    state, state_unit = scale([_known(cell["state_bytes"]) for cell in cells])
    archive, archive_unit = scale([_known(cell["archive_bytes"]) for cell in cells])
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
            formatted(_known(cell["decoder_flops"]) / flops_unit, ".3g"),
            formatted(_known(cell["state_bytes"]) / state_unit, ".3g"),
            formatted(_known(cell["archive_bytes"]) / archive_unit, ".3g"),
            formatted(cell["decoder_ms_per_frame"], ".3g"),
            f"{cell['invalid']:,}" + _nonfinite(cell),
        ]
        for cell in cells
    ]
    same = Markup(" <b>{}</b> is the same as {} and was run once.")
    twins = study.runs[name].grid.same.items()
    return Table(
        f"results-{name}",
        f"{name}: results",
        heads,
        lines,
        RESULTS + Markup().join(same.format(one, other) for one, other in twins),
        marked=[place for place, cell in enumerate(cells) if cell["cell"] == options.reference],
    )


def budget(study: Study, options: AblateOptions) -> tuple[Table | None, float]:
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
            f"{_known(cell['state_bytes']):,.0f} B",
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


def longer_streams(study: Study, name: str) -> Table | None:
    """Decoder FLOPs of streams longer than those that were run."""
    found = totals(study.runs[name], LENGTHS)
    if not found:
        return None
    units = [scale([values[place] for _, values in found]) for place in range(len(LENGTHS))]
    heads = ["cells"]
    heads += [f"{n:,} frames ({most}FLOP)" for n, (most, _) in zip(LENGTHS, units, strict=True)]
    lines = [
        [cells, *(number(v / unit) for v, (_, unit) in zip(values, units, strict=True))]
        for cells, values in found
    ]
    caption = "Decoder FLOPs of whole streams by closed form, cells of equal cost together."
    return Table(f"totals-{name}", f"{name}: longer streams", heads, lines, caption)


def _known(value: float | None) -> float:
    return 0.0 if value is None or isnan(value) else float(value)


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
