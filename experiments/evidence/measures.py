"""What rows of the suites are compared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from .results import Measure, Row
from .suites import GAPS


def grouped(measure: str, group: str | None = None) -> Callable[[Row], float | None]:
    """The mean of "loss", "kl" or "agreement" over a stream's scored tokens of a group; None for
    all."""

    def value(row: Row) -> float | None:
        groups = [part for name, part in row["groups"].items() if group in (None, name)]
        if not groups:
            return None
        total = sum(part[measure] * part["count"] for part in groups)
        return total / sum(part["count"] for part in groups)

    return value


def listed(name: str) -> Callable[[Row], float | None]:
    """The mean of a row's field, a number or a list of them."""

    def value(row: Row) -> float | None:
        field = row.get(name)
        if field is None:
            return None
        return fmean(field) if isinstance(field, Sequence) else float(field)

    return value


PROSE_LOSS = Measure("prose_loss", "prose", "prose loss", grouped("loss"))
PROSE_KL = Measure("prose_kl", "prose", "KL to full", grouped("kl"))
AGREEMENT = Measure(
    "prose_agreement", "prose", "agreement", grouped("agreement"), lower_is_better=False
)
SCENE_LOSS = Measure("scene_loss", "scene", "scene loss", grouped("loss"))
COPIES = tuple(
    Measure(f"copy_{gap}", "copy", f"copy {gap} frames back", grouped("loss", f"{gap} frames"))
    for gap in GAPS
)
AGES = (*(f"{gap} frames" for gap in GAPS), f"over {GAPS[-1]} frames")
SCENE_AGES = tuple(
    Measure(f"scene_{age.replace(' ', '_')}", "scene", age, grouped("loss", age)) for age in AGES
)
NEEDLE = Measure(
    "needle_archive", "needle", "needle, archive", listed("needles_right_archive"),
    lower_is_better=False,
)  # fmt: skip
NEEDLE_CARRIED = Measure(
    "needle_carried", "needle", "needle, carried", listed("needles_right_carried"),
    lower_is_better=False,
)  # fmt: skip
NEEDLE_LOSS = Measure(
    "needle_loss_carried", "needle", "needle loss, carried", listed("needles_loss_carried")
)
CONTINUATION = Measure(
    "continuation_archive", "prose", "continuation KL, archive", listed("continuation_kl_archive")
)
CONTINUATION_CARRIED = Measure(
    "continuation_carried", "prose", "continuation KL, carried", listed("continuation_kl_carried")
)
PROSE = (PROSE_LOSS, PROSE_KL, AGREEMENT)
OTHERS = (
    *(SCENE_LOSS, *COPIES, NEEDLE, NEEDLE_CARRIED, NEEDLE_LOSS),
    *(CONTINUATION, CONTINUATION_CARRIED),
)
MEASURES = (*PROSE, *OTHERS)
