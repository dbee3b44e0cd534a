"""Tables of a run of clips: what each memory answers right, by task, size and age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..reports.tables import Table
from ..reports.text import formatted
from .clip_measures import (
    LEARNT,
    READINGS,
    answered,
    asked_by_age,
    learnt,
    overall,
    share_of_full,
    tasks_in,
)
from .comparisons import against, compared_rules, decidable, mean, rivals_in
from .results import Line, Measure, Results
from .statistics import BETTER, EQUIVALENT, MARGIN, WORSE
from .table import SEEDS, lines_of, names, of_size, streams_told

MARKS = {BETTER: " ▲", WORSE: " ▼", EQUIVALENT: " ="}
MARKED = (
    "▲ and ▼: better and worse than {rival}, clip by clip, p below 5 % in a sign-flip test by "
    "Holm's correction over the {rules} rules of a column; =: else, if the 90 % interval of the "
    "difference lies within ± {margin:.0%} of what {rival} loses to full attention."
)


def answers_tables(results: Results, size: int | None = None) -> Iterator[Table]:
    """By task, a table per reading."""
    for reading, told in READINGS.items():
        measures = _columns(results, reading)
        if not any(map(results.has, measures)):
            continue
        lines = lines_of(results, size)
        columns = [_marked(results, lines, measure) for measure in measures]
        called = names(results, lines)
        cells = [[called[line], *(column[line] for column in columns)] for line in lines]
        cells += [_blind(results, lines, measures)] if reading == "archive" else []
        heading = of_size(f"Answered right from the {told}", size)
        heads = ["memory", *(measure.head for measure in measures)]
        caption = _caption(results, lines, measures)
        full, better = _full(results, lines), [0, *([1] * len(measures))]
        full += [len(lines)]  # the blind line is no memory either
        yield Table(
            f"answers_{reading}", heading, heads, cells, caption, marked=full, better=better
        )


def ages_table(results: Results, task: str, size: int | None = None) -> Table:
    """A task by how long ago its evidence passed, from the whole archive."""
    lines = lines_of(results, size)
    counts = asked_by_age(results, task)
    measures = [answered(task, "archive", ages) for ages in counts]
    called = names(results, lines)
    cells = [
        [called[line], *(formatted(mean(results, line, one), ".2f", "") for one in measures)]
        for line in lines
    ]
    caption = (
        "Share answered right by frames since the evidence, from the whole archive; in brackets "
        "questions."
    )
    heading = of_size(f"{task.replace('_', ' ').capitalize()} by age", size)
    each = zip(measures, counts.values(), strict=True)
    heads = ["memory", *(f"{measure.head} ({count})" for measure, count in each)]
    better = [0, *([1] * len(measures))]
    full = _full(results, lines)
    return Table(f"ages_{task}", heading, heads, cells, caption, marked=full, better=better)


def clip_sizes_tables(runs: Sequence[Results]) -> Iterator[Table]:
    """The mean of the tasks learnt, at every size of several runs, a table per reading. Runs of
    several models are told apart by these."""
    several = len({one.model for one in runs}) > 1
    shown = " ".join(f"{one.model}: {_shown(one)}" if several else _shown(one) for one in runs)
    for reading, told in READINGS.items():
        columns: dict[str, dict[str, str]] = {}
        for results in runs:
            for size, lines in results.by_size().items() if learnt(results) else ():
                marked = _marked(results, lines, overall(learnt(results), reading))
                head = f"{size} slots, {results.length}" if size else results.length
                head = f"{results.model}: {head}" if several else head
                columns[head] = {name: marked[line] for line, name in names(results, lines).items()}
        labels = dict.fromkeys(label for column in columns.values() for label in column)
        cells = [[label, *(one.get(label, "") for one in columns.values())] for label in labels]
        caption = (
            "Share answered right, mean over the tasks that full attention answers by "
            f"{LEARNT:.0%} at that length. Marks as above. {shown}"
        )
        if columns:
            heads, better = ["memory", *columns], [0, *([1] * len(columns))]
            full = [place for place, label in enumerate(labels) if label == runs[0].reference]
            yield Table(
                f"sizes_{reading}", f"By size, {told}", heads, cells, caption, marked=full,
                better=better,
            )  # fmt: skip


def _full(results: Results, lines: Sequence[Line]) -> list[int]:
    """Places of full attention's lines."""
    return [place for place, line in enumerate(lines) if results.reference in line.cells]


def _shown(results: Results) -> str:
    """How many clips of which length a column is of, and which tasks."""
    tasks = ", ".join(task.replace("_", " ") for task in learnt(results))
    clips = results.streams(results.suites[0])
    return f"{results.length.capitalize()}: {clips} clips; {tasks or 'no task learnt'}."


def _columns(results: Results, reading: str) -> list[Measure]:
    tasks = learnt(results)
    mean_of_learnt = [overall(tasks, reading)] if tasks else []
    return [*mean_of_learnt, *(answered(task, reading) for task in tasks)]


def _marked(results: Results, lines: Sequence[Line], measure: Measure) -> dict[Line, str]:
    """Shares with the verdict's mark against the first rival."""
    rivals = rivals_in(lines)
    told = rivals and results.has(measure) and decidable(results, lines, measure)
    judged = against(results, lines, rivals[0], measure) if told else {}
    texts: dict[Line, str] = {}
    for line in lines:
        value = mean(results, line, measure)
        mark = MARKS.get(judged[line].verdict, "") if line in judged else ""
        texts[line] = "" if value is None else f"{value:.2f}{mark}"
    return texts


def _blind(results: Results, lines: Sequence[Line], measures: Sequence[Measure]) -> list[str]:
    """What full attention's model answers without the video."""
    full = next(line for line in lines if results.reference in line.cells)
    cells = ["blind"]
    for measure in measures:
        task = measure.name.removesuffix("_archive")
        own = overall(learnt(results), "blind") if task == "overall" else answered(task, "blind")
        cells.append(formatted(mean(results, full, own), ".2f", ""))
    return cells


def _caption(results: Results, lines: Sequence[Line], measures: Sequence[Measure]) -> str:
    parts = [streams_told(results)]
    if rivals_in(lines) and decidable(results, lines, measures[0]):
        rival, rules = rivals_in(lines)[0].label, compared_rules(results, lines)
        parts.append(MARKED.format(rival=rival, rules=rules, margin=MARGIN))
    left = [
        f"{task.replace('_', ' ')} ({share_of_full(results, task):.0%})"
        for task in tasks_in(results)
        if task not in learnt(results)
    ]
    if left:
        parts.append(
            f"Left out is what this model has not learnt (full attention under {LEARNT:.0%}): "
            f"{', '.join(left)}."
        )
    if any(len(line.cells) > 1 for line in lines):
        parts.append(SEEDS)
    return " ".join(parts)
