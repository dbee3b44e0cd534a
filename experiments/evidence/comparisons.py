"""Each memory of a size against its rivals, measure by measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from .results import Line, Measure, Results
from .statistics import LEVEL, MARGIN, Comparison, compared, least_p_value

# Whom a rule must be shown against: the method itself, the window with its sinks, chance with its
# sinks, and the nearest relative.
RIVALS = ("statekv", "sinks + recent", "random + 4 sinks", "h2o")


def rivals_in(lines: Sequence[Line]) -> list[Line]:
    """The rivals that are there, in their order."""
    by_label = {one.label: one for one in reversed(lines)}
    return [by_label[label] for label in RIVALS if label in by_label]


def against(
    results: Results, lines: Sequence[Line], rival: Line, measure: Measure
) -> Mapping[Line, Comparison]:
    """Every line but the rival and full attention, corrected for how many they are.

    The margin is a tenth of what the rival loses to full attention in this measure. Lines without a
    stream in common with the rival are left out.
    """
    theirs = results.values(rival, measure)
    judged = (line for line in lines if line != rival and results.reference not in line.cells)
    differences = {line: (results.values(line, measure) - theirs).dropna() for line in judged}
    differences = {line: own.to_list() for line, own in differences.items() if len(own)}
    margin = MARGIN * lost(results, rival, measure)
    lower_is_better = measure.lower_is_better
    verdicts = compared(list(differences.values()), margin, lower_is_better=lower_is_better)
    return dict(zip(differences, verdicts, strict=True))


def compared_rules(results: Results, lines: Sequence[Line]) -> int:
    """How many are compared with each rival."""
    return sum(results.reference not in line.cells for line in lines) - 1


def decidable(results: Results, lines: Sequence[Line], measure: Measure) -> bool:
    """Whether so few streams can tell so many rules from a rival at all: eight cannot tell ten."""
    return compared_rules(results, lines) * least_p_value(results.streams(measure.suite)) < LEVEL


def lost(results: Results, line: Line, measure: Measure) -> float:
    """What a line loses to full attention on the same streams, in the measure's unit; never below
    0: a bounded memory may do better by chance.
    """
    full = next((one for one in results.lines if results.reference in one.cells), None)
    if full is None:
        return 0.0
    apart = (results.values(line, measure) - results.values(full, measure)).dropna()
    lost = fmean(apart) if len(apart) else 0.0
    return max(0.0, lost if measure.lower_is_better else -lost)


def mean(results: Results, line: Line, measure: Measure) -> float | None:
    """Over streams; None where there are none."""
    values = results.values(line, measure)
    return fmean(values) if len(values) else None
