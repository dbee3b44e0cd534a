"""Tables of a study's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import isnan
from typing import Any

from ..reports.text import number, scale
from .extrapolation import totals
from .options import MATCHES, AblateOptions
from .tidy import Study

LENGTHS = (64, 512, 3600)  # frames whose totals are told
RESULTS = """Every measure with its 95 % interval (bootstrap over videos, because questions about
one video are not independent). The first column is the benchmark's own headline score,
<b>accuracy</b> the share of right answers over all questions; a question without a reply counts as
wrong. <b>To reference</b> is the paired difference in accuracy with McNemar's exact p-value.
<b>KL</b> is of the first new token's distribution from the reference, <b>agreement</b> the share of
equal tokens, <b>invalid</b> counts replies that give no answer; some benchmarks' own rules take
such replies too (OVO-Bench: any with the right letter in it). <b>NaN</b> counts questions at which
the model computed NaN or Inf: wrong, and without KL or agreement. Costs are means over questions:
decoder FLOPs of the video without vision, what later frames attend to (state), what questions read
(archive), milliseconds of decoder and memory per frame."""


def results(study: Study, name: str, options: AblateOptions) -> str:
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
            escape(str(cell["cell"])),
            _plain(cell["score"], ".1f"),
            _interval(cell, "accuracy", ".1f"),
            _interval(cell, "difference", "+.1f"),
            _plain(cell["mcnemar_p"], ".2g"),
            _interval(cell, "kl", ".2g") + _infinite(cell),
            _interval(cell, "agreement", ".0f", 100),
            _plain(_known(cell["decoder_flops"]) / flops_unit, ".3g"),
            _plain(_known(cell["state_bytes"]) / state_unit, ".3g"),
            _plain(_known(cell["archive_bytes"]) / archive_unit, ".3g"),
            _plain(cell["decoder_ms_per_frame"], ".3g"),
            f"{cell['invalid']:,}" + _nonfinite(cell),
        ]
        for cell in cells
    ]
    marked = [cell["cell"] == options.reference for cell in cells]
    same = study.runs[name].grid.same
    told = "".join(
        f" <b>{escape(one)}</b> is the same as {escape(other)} and was run once."
        for one, other in same.items()
    )
    table = _table(f"results-{name}", heads, lines, marked)
    return f'<h2>{escape(name)}: results</h2>\n{table}\n<p class="small">{RESULTS}{told}</p>'


def budget(study: Study, options: AblateOptions) -> str:
    """What was matched: wanted, worked out by the dry run, and the size that has it."""
    if options.budget is None:
        return ""
    what = MATCHES[options.budget.match]
    sized = study.cells.dropna(subset=["wanted"]).drop_duplicates(
        ["model", "memory", "wrapper", "amount"]
    )
    heads = [
        "cell",
        "model",
        f"wanted {what}",
        "attained",
        "off by",
        "by setting",
        "state of a run",
    ]
    lines = [
        [
            escape(str(cell["cell"])),
            escape(str(cell["model"])),
            number(cell["wanted"]),
            number(cell["attained"]),
            f"{cell['attained'] / cell['wanted'] - 1:+.2%}",
            f"{cell['sized_by']} = {cell['size']:.4g}",
            f"{_known(cell['state_bytes']):,.0f} B",
        ]
        for cell in sized.to_dict("records")
    ]
    like = "" if options.budget.like is None else f", as {escape(repr(options.budget.like))} has"
    say = (
        f"All memories have equally many <b>{what}</b>{like}. Attained is what a dry run of a few "
        "frames on the model says of the size, once the state is full; the last column is what the "
        "evaluated sessions held at their questions, over all layers and with the last frame, "
        "which is less where videos are too short to fill it."
    )
    table = _table("budget", heads, lines, [False] * len(lines))
    most = max(abs(cell["attained"] / cell["wanted"] - 1) for cell in sized.to_dict("records"))
    return (
        f"<h2>Budget: equal {escape(what)}</h2>\n<details><summary>{len(lines)} sizes, none off by "
        f'more than {most:.2%}</summary>\n{table}\n</details>\n<p class="small">{say}</p>'
    )


def longer_streams(study: Study, name: str) -> str:
    """Decoder FLOPs of streams longer than those that were run."""
    found = totals(study.runs[name], LENGTHS)
    if not found:
        return ""
    units = [scale([values[place] for _, values in found]) for place in range(len(LENGTHS))]
    heads = ["cells"]
    heads += [f"{n:,} frames ({most}FLOP)" for n, (most, _) in zip(LENGTHS, units, strict=True)]
    lines = [
        [escape(cells), *(number(v / unit) for v, (_, unit) in zip(values, units, strict=True))]
        for cells, values in found
    ]
    say = "Decoder FLOPs of whole streams by closed form, cells of equal cost together."
    table = _table(f"totals-{name}", heads, lines, [False] * len(lines))
    return f'<h2>{escape(name)}: longer streams</h2>\n{table}\n<p class="small">{say}</p>'


def _table(
    name: str, heads: Sequence[str], lines: Sequence[Sequence[str]], marked: Sequence[bool]
) -> str:
    """Cells of `lines` are HTML already."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    kinds = [' class="reference"' if mark else "" for mark in marked]
    body = "\n".join(
        f"<tr{kind}>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>"
        for line, kind in zip(lines, kinds, strict=True)
    )
    return (
        f'<div class="scroll"><table id="{escape(name, quote=True)}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _known(value: float | None) -> float:
    return 0.0 if value is None or isnan(value) else float(value)


def _plain(value: float | None, form: str) -> str:
    return "–" if value is None or isnan(value) else format(value, form)


def _interval(cell: Mapping[str, Any], name: str, form: str, factor: float = 1.0) -> str:
    value, low, high = (cell[name + end] for end in ("", "_low", "_high"))
    if value is None or isnan(value):
        return "–"
    said = f"{factor * value:{form}}"
    if low is None or isnan(low):
        return said
    return f"{said} <small>[{factor * low:{form}}, {factor * high:{form}}]</small>"


def _nonfinite(cell: Mapping[str, Any]) -> str:
    return f" + {cell['nonfinite']:,} NaN" if cell["nonfinite"] else ""


def _infinite(cell: Mapping[str, Any]) -> str:
    count = cell["kl_infinite"]
    return f" <small>and {count} infinite</small>" if count else ""
