"""The table of a run: what each memory loses, and how sure the differences are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ..evaluation.paired import interval_by_video

Row = Mapping[str, Any]


def stream_means(rows: Sequence[Row], cell: str, suite: str, measure: str) -> dict[str, float]:
    """A measure's mean over the scored tokens of each stream of a suite, by stream.

    Args:
        measure: "loss", "kl" or "agreement".
    """
    found = {}
    for row in rows:
        if row["cell"] == cell and row["suite"] == suite and row["groups"]:
            groups = row["groups"].values()
            total = sum(group[measure] * group["count"] for group in groups)
            found[row["question"]] = total / sum(group["count"] for group in groups)
    return found


def paired(
    rows: Sequence[Row], cell: str, other: str, suite: str, measure: str
) -> tuple[float, float, float]:
    """How far a cell's measure lies above another's on the same streams: mean, and the bounds of
    its 95 % interval by a bootstrap over streams.

    Raises:
        ValueError: if they have no stream in common.
    """
    ours, theirs = (stream_means(rows, name, suite, measure) for name in (cell, other))
    names = sorted(ours.keys() & theirs.keys())
    if not names:
        raise ValueError(f"{cell} and {other} have no {suite} stream in common: run both")
    differences = [ours[name] - theirs[name] for name in names]
    low, high = interval_by_video(differences, names)
    return fmean(differences), low, high


def evidence_table(
    rows: Sequence[Row], cells: Sequence[str], rivals: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: loss and KL on prose, KL paired to each rival, loss on scenes, cost.

    Args:
        cells: in the order of the table.
        rivals: cells that the others are compared with.
    """
    heads = ["memory", "prose loss", "KL to full"]
    heads += [f"KL − {rival}'s" for rival in rivals]
    heads += ["scene loss", "GFLOP", "state"]
    return heads, [_line(rows, cell, rivals) for cell in cells]


def _line(rows: Sequence[Row], cell: str, rivals: Sequence[str]) -> list[str]:
    prose = {m: fmean(stream_means(rows, cell, "prose", m).values()) for m in ("loss", "kl")}
    scene = fmean(stream_means(rows, cell, "scene", "loss").values())
    costs = next(row for row in rows if row["cell"] == cell and row["suite"] == "prose")
    return [
        cell,
        f"{prose['loss']:.3f}",
        f"{prose['kl']:.3f}",
        *(_difference(rows, cell, rival) for rival in rivals),
        f"{scene:.3f}",
        f"{costs['decoder_flops'] / 1e9:.0f}",
        f"{costs['state_bytes'] / 1e6:.1f} MB",
    ]


def _difference(rows: Sequence[Row], cell: str, rival: str) -> str:
    if cell == rival:
        return ""
    mean, low, high = paired(rows, cell, rival, "prose", "kl")
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
