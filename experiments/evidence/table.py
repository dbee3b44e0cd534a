"""Tables of a run: what each memory loses, how sure that is, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

from ..reports.tables import Table
from ..reports.text import formatted
from .comparisons import against, compared_rules, decidable, mean, rivals_in
from .measures import OTHERS, PROSE, PROSE_KL, PROSE_LOSS, SCENE_LOSS
from .results import Line, Measure, Results
from .statistics import MARGIN

# Head, cell, and 1 where more is better, -1 where less is, 0 where neither.
Column = tuple[str, Callable[[Line], str], int]
INTERVALS = (
    "Differences are taken stream by stream; in brackets the 95 % interval of a bootstrap over "
    "streams, of one comparison at a time."
)
VERDICTS = (
    "Better and worse: p below 5 % in a sign-flip test, by Holm's correction over the {rules} "
    "rules of the column. Equivalent: else, if the 90 % interval lies within ± {margin:.0%} of "
    "what the rival loses to full attention. Undecided: neither."
)
TOO_FEW = (
    "With {streams} streams no test over {rules} rules could decide, so there are no verdicts."
)
SEEDS = "Random memories are means over their seeds."


def short_table(
    results: Results, size: int | None = None, labels: Collection[str] | None = None
) -> Table:
    """What a reader needs first: prose, the difference to the first rival, scenes. Of all memories
    that were compared, those of these labels are shown; None shows all."""
    lines = lines_of(results, size)
    columns = [_mean(results, PROSE_LOSS), _mean(results, PROSE_KL)]
    for rival in rivals_in(lines)[:1]:
        columns += _apart(results, lines, rival)
    columns += [_mean(results, SCENE_LOSS)] if results.has(SCENE_LOSS) else []
    shown = [line for line in lines if labels is None or line.label in labels]
    heading = of_size("At a glance", size)
    return _table("short", heading, results, shown, columns, _caption(results, lines))


def prose_table(results: Results, size: int | None = None) -> Table:
    """Prose, and KL against every rival."""
    lines = lines_of(results, size)
    columns = [_mean(results, one) for one in PROSE if results.has(one)]
    columns += [_paired(results, lines, rival, PROSE_KL) for rival in rivals_in(lines)]
    heading = of_size("Prose", size)
    return _table("prose", heading, results, lines, columns, _caption(results, lines))


def suites_table(results: Results, size: int | None = None) -> Table:
    """The other suites; scenes against the first two rivals."""
    lines = lines_of(results, size)
    columns: list[Column] = []
    for measure in filter(results.has, OTHERS):
        columns.append(_mean(results, measure))
        if measure == SCENE_LOSS:
            columns += [_paired(results, lines, one, measure) for one in rivals_in(lines)[:2]]
    caption = "Means over streams; loss in nats, needles as the share of right choices."
    if rivals_in(lines):
        caption += (
            " Intervals and verdicts as for prose, equivalence within the same share of what the "
            "rival loses in the measure."
        )
    heading = of_size("The other suites", size)
    return _table("suites", heading, results, lines, columns, caption)


def cost_table(results: Results, size: int | None = None) -> Table:
    """What a stream costs."""
    frames = results.frames

    def cost(name: str, unit: float, form: str) -> Callable[[Line], str]:
        return lambda line: format(results.cost(line, name) / unit, form)

    columns: list[Column] = [
        ("slots", lambda line: "" if line.capacity is None else str(line.capacity), 0),
        ("state MB", cost("state_bytes", 1e6, ".2f"), -1),
        ("archive MB", cost("archive_bytes", 1e6, ".1f"), -1),
        ("GFLOP per stream", cost("decoder_flops", 1e9, ".0f"), -1),
        ("ms per frame", cost("decoder_ms", frames, ".0f"), -1),
    ]
    caption = (
        "The state is what later frames attend to, with the statistics that a rule keeps of its "
        "slots; the archive is what questions read. FLOPs are of the decoder, in closed form; time "
        "is of the decoder and the memory, several streams at once."
    )
    lines = lines_of(results, size)
    return _table("cost", of_size("Cost", size), results, lines, columns, caption)


def sizes_tables(runs: Sequence[Results]) -> Iterator[Table]:
    """KL on prose and loss on scenes at every size, as far as runs have them."""
    for measure in (PROSE_KL, SCENE_LOSS):
        if having := [results for results in runs if results.has(measure)]:
            yield sizes_table(having, measure)


def sizes_table(runs: Sequence[Results], measure: Measure = PROSE_KL) -> Table:
    """A measure at every size of several runs, with the verdict against StateKV's of that size."""
    columns: dict[str, dict[str, str]] = {}
    for results in runs:
        for size, lines in results.by_size().items():
            head = f"{'' if size is None else size} of {results.config['tokens']:,}".strip()
            columns[head] = dict(_value_and_verdict(results, lines, measure))
    labels = dict.fromkeys(label for column in columns.values() for label in column)
    lines = [[label, *(one.get(label, "") for one in columns.values())] for label in labels]
    head, told = measure.head[0].upper() + measure.head[1:], " ".join(map(streams_told, runs))
    caption = (
        f"{head}, of the suite {measure.suite}, and its verdict against StateKV of that size, as "
        f"above. Heads: slots of StateKV, of tokens of a stream. {told}"
    )
    name = f"sizes_{measure.suite}"
    return Table(
        name, f"{head} by size", ["memory", *columns], lines, caption,
        marked=[place for place, label in enumerate(labels) if label == runs[0].reference],
        better=[0, *(len(columns) * [direction(measure)])],
    )  # fmt: skip


def names(results: Results, lines: Sequence[Line]) -> dict[Line, str]:
    """What lines are called: by their label, or by their cell where that is not enough."""
    labels = [one.label for one in lines]
    return {one: one.label if labels.count(one.label) == 1 else one.cells[0] for one in lines}


def lines_of(results: Results, size: int | None) -> list[Line]:
    """The lines of one size; of all where none is named.

    Raises:
        ValueError: for a size that the run lacks.
    """
    sizes = results.by_size()
    if size is None and len(sizes) == 1:
        size = next(iter(sizes))
    if size not in sizes:
        known = ", ".join(map(str, sizes))
        raise ValueError(f"evidence: the run has no memories of {size} slots; it has {known}")
    return sizes[size]


def of_size(heading: str, size: int | None) -> str:
    """A heading that names the slots."""
    return heading if size is None else f"{heading}, {size} slots"


def _table(
    name: str,
    heading: str,
    results: Results,
    lines: Sequence[Line],
    columns: Sequence[Column],
    caption: str,
) -> Table:
    called = names(results, lines)
    cells = [[called[line], *(cell(line) for _, cell, _ in columns)] for line in lines]
    full = [place for place, line in enumerate(lines) if results.reference in line.cells]
    heads, better = ["memory"], [0]
    for head, _, sign in columns:
        heads.append(head)
        better.append(sign)
    return Table(name, heading, heads, cells, caption, marked=full, better=better)


def _mean(results: Results, measure: Measure) -> Column:
    def cell(line: Line) -> str:
        return formatted(mean(results, line, measure), ".3f", "")

    return measure.head, cell, direction(measure)


def direction(measure: Measure) -> int:
    """-1 where less is better, else 1."""
    return -1 if measure.lower_is_better else 1


def _judged(
    results: Results, lines: Sequence[Line], rival: Line, measure: Measure
) -> defaultdict[Line, tuple[str, str]]:
    """Difference with its interval, and verdict where one can be reached, of what is compared."""
    decided = decidable(results, lines, measure)
    compared = against(results, lines, rival, measure).items()
    told = defaultdict[Line, tuple[str, str]](lambda: ("", ""))
    for line, one in compared:
        interval = f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        told[line] = interval, one.verdict if decided else ""
    return told


def _paired(results: Results, lines: Sequence[Line], rival: Line, measure: Measure) -> Column:
    """Difference, interval and verdict in one column."""
    judged = _judged(results, lines, rival, measure)
    head = f"{measure.head.removesuffix(' to full')} − {rival.label}"
    return head, lambda line: " ".join(judged[line]).strip(), 0


def _apart(results: Results, lines: Sequence[Line], rival: Line) -> Iterator[Column]:
    """Difference in KL and verdict in columns of their own."""
    judged = _judged(results, lines, rival, PROSE_KL)
    yield f"KL − {rival.label}", lambda line: judged[line][0], 0
    if decidable(results, lines, PROSE_KL):
        yield "verdict", lambda line: judged[line][1], 0


def _value_and_verdict(
    results: Results, lines: Sequence[Line], measure: Measure
) -> Iterator[tuple[str, str]]:
    """Of the lines that have a value, by their names."""
    rivals = rivals_in(lines)
    judged = _judged(results, lines, rivals[0], measure) if rivals else None
    for line, name in names(results, lines).items():
        value = mean(results, line, measure)
        if value is not None:
            yield name, f"{value:.3f} {judged[line][1] if judged else ''}".strip()


def _caption(results: Results, lines: Sequence[Line]) -> str:
    rules, streams = compared_rules(results, lines), results.streams("prose")
    judged = VERDICTS if decidable(results, lines, PROSE_KL) else TOO_FEW
    parts = [streams_told(results)]
    if rivals_in(lines):
        parts += [INTERVALS, judged.format(rules=rules, margin=MARGIN, streams=streams)]
    if any(len(line.cells) > 1 for line in lines):
        parts.append(SEEDS)
    return " ".join(parts)


def streams_told(results: Results) -> str:
    """How many streams of what length, and what is missing."""
    counts = ", ".join(f"{results.streams(suite)} {suite}" for suite in results.suites)
    text = f"Streams of {results.length} of the half {results.config['half']}: {counts}."
    if results.missing:
        text += (
            f" UNFINISHED: {results.missing:,} rows are owed, so means are over different streams; "
            "run the same command again."
        )
    for suite in results.suites:
        if count := results.cells_without(suite):
            text += (
                f" {count} of {len(results.config['cells'])} cells have not been run on {suite}."
            )
    return text
