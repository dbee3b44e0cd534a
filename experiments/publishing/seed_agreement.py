"""Whether models of one recipe and other seeds rank memories alike.

`python -m crossframe.experiments.publishing.seed_agreement` renews its table of
docs/memories-on-video.md from the results beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import torch
from jsonargparse import auto_cli
from torchmetrics.functional import spearman_corrcoef

from ..evidence.clip_measures import READINGS, learnt, overall
from ..evidence.comparisons import against, mean, rivals_in
from ..evidence.results import Measure, Results
from ..evidence.statistics import BETTER, WORSE
from ..evidence.table import names
from ..reports.tables import markdown_table
from .evidence import read_runs, results_of
from .pages import renew

NAME = "seed_agreement"
FIRST, OTHERS = "testbed_internvl3", "testbed_seeds"
HEADS = (
    *("models", "read", "slots", "rules", "rank correlation", "better in both", "worse in both"),
    *("verdict in one alone", "contrary"),
)


def agreement_table(models: Sequence[Results]) -> str:
    """Of every two models at every size of both."""
    lines = [line for one, other in combinations(models, 2) for line in _lines(one, other)]
    return markdown_table(HEADS, lines)


def _lines(first: Results, other: Results) -> list[list[str]]:
    """Verdicts against the same rival and means of the same tasks, at every size of both."""
    tasks = tuple(task for task in learnt(first) if task in learnt(other))
    models = f"{first.model}, {other.model}"
    return [
        [models, told, str(size), *compared(first, other, overall(tasks, reading), size)]
        for reading, told in READINGS.items()
        for size in first.by_size()
        if size in other.by_size() and size is not None
    ]


def compared(first: Results, other: Results, measure: Measure, size: int) -> Sequence[str]:
    """Of the bounded rules at one size: how many, rank correlation of their means, verdicts."""
    means, verdicts = (
        [of(one, measure, size) for one in (first, other)] for of in (_means, _verdicts)
    )
    rules = [name for name in means[0] if name in verdicts[0] and name in verdicts[1]]
    ranked = [torch.tensor([each[name] for name in rules]) for each in means]
    pairs = [tuple(each[name] for each in verdicts) for name in rules]
    both = [pairs.count((one, one)) for one in (BETTER, WORSE)]
    contrary = pairs.count((BETTER, WORSE)) + pairs.count((WORSE, BETTER))
    told = sum(BETTER in pair or WORSE in pair for pair in pairs)
    alone = told - sum(both) - contrary
    correlation = float(spearman_corrcoef(*ranked))
    return [str(len(rules)), f"{correlation:.2f}", *map(str, (*both, alone, contrary))]


def _means(results: Results, measure: Measure, size: int) -> Mapping[str, float]:
    called = names(results, results.by_size()[size])
    means = {name: mean(results, line, measure) for line, name in called.items()}
    return {name: value for name, value in means.items() if value is not None}


def _verdicts(results: Results, measure: Measure, size: int) -> Mapping[str, str]:
    """Of the lines that have a size, as cells are named: controls have none."""
    lines = results.by_size()[size]
    judged = against(results, lines, rivals_in(lines)[0], measure)
    called = names(results, lines)
    sized = [line for line in judged if any("/" in cell for cell in line.cells)]
    return {called[line]: judged[line].verdict for line in sized}


def part(results: Path) -> str:
    """The generated part of the page."""
    runs = [read_runs(results, FIRST)[0], *read_runs(results, OTHERS)]
    return agreement_table([*map(results_of, runs)])


def main(docs: Path = Path("docs")) -> None:
    """Renew the table.

    Args:
        docs: the folder of pages, with `results` in it.
    """
    renew(docs / "memories-on-video.md", NAME, part(docs / "results"))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
