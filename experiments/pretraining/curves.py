"""How training went: every logged step of a part, as CSV and as a drawing."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...framework.files.whole_file import whole_file

Row = Mapping[str, float]


def write_curves(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """Write `<name>.csv` and `<name>.png` of what was logged: step, loss, accuracy by task."""
    tasks = sorted({task for row in rows for task in row} - {"step", "loss"})
    table = io.StringIO()
    writer = csv.DictWriter(table, ["step", "loss", *tasks], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    with whole_file(folder / f"{name}.csv") as file:
        file.write(table.getvalue().encode())
    with whole_file(folder / f"{name}.png") as file:
        file.write(drawn(rows, tasks))


def drawn(rows: Sequence[Row], tasks: Sequence[str]) -> bytes:
    """A PNG: the loss, and below it each task's accuracy."""
    from matplotlib.figure import Figure

    figure = Figure((8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.semilogy([row["step"] for row in rows], [row["loss"] for row in rows], lw=0.8)
    above.set_ylabel("loss")
    for task in tasks:
        told = [row for row in rows if task in row]
        below.plot([row["step"] for row in told], [row[task] for row in told], lw=0.8, label=task)
    below.set(xlabel="step", ylabel="accuracy", ylim=(0, 1.02))
    below.legend(fontsize=7, ncol=3, loc="lower right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
