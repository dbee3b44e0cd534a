"""Pictures of a run: who loses how much, for how many bytes, and of which age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..reports.drawing import (
    GRAMMAR,
    WIDTH,
    Drawing,
    Style,
    exact_ticks,
    family_styles,
    legend_below,
    legend_height,
    tidy_axes,
)
from .comparisons import against, decidable, mean, rivals_in
from .measures import COPIES, PROSE_KL, SCENE_AGES
from .results import ANCHOR, Line, Results
from .statistics import BETTER, EQUIVALENT, UNDECIDED, WORSE, Comparison
from .table import lines_of, names, of_size

VERDICT_COLOURS = {BETTER: "#009E73", WORSE: "#D55E00", EQUIVALENT: "#0072B2", UNDECIDED: "#8C8C8C"}
UNJUDGED = "#0072B2"  # where streams are too few for verdicts
LEADING = 10  # memories in one panel of curves; more cannot be told apart
LINE_HEIGHT = 0.27  # inches of a memory's row


def ranking(results: Results, size: int | None = None) -> Drawing:
    """Every memory's KL on prose, with the interval of its difference to the first rival."""
    lines = [one for one in lines_of(results, size) if mean(results, one, PROSE_KL)]
    lines.sort(key=lambda line: -(mean(results, line, PROSE_KL) or 0))
    rival = next(iter(rivals_in(lines)), None)
    comparisons = {} if rival is None else against(results, lines, rival, PROSE_KL)
    colours = VERDICT_COLOURS
    if not decidable(results, lines, PROSE_KL):
        colours = dict.fromkeys(VERDICT_COLOURS, UNJUDGED)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        if rival is not None:
            own = mean(results, rival, PROSE_KL) or 0
            axes.axvline(own, color="black", linewidth=0.8, linestyle="--")
        for place, line in enumerate(lines):
            value = mean(results, line, PROSE_KL) or 0
            _ranked(axes, place, value, comparisons.get(line), colours)
        axes.set_yticks(range(len(lines)), names(results, lines).values())
        axes.set_ylim(-0.6, len(lines) - 0.4)
        axes.set_xscale("log")
        _kl_ticks(axes.xaxis)
        axes.set_xlabel("KL to full attention on prose (nats), less is better")
        tidy_axes(axes)
        verdicts = {one.verdict for one in comparisons.values()}
        entries = {
            f"{verdict} than {rival.label}" if verdict in (BETTER, WORSE) else verdict: _dot(colour)
            for verdict, colour in VERDICT_COLOURS.items()
            if rival is not None and verdict in verdicts and colours is VERDICT_COLOURS
        }
        if entries:
            legend_below(figure, entries)

    heading = of_size("What a pretrained decoder loses", size)
    caption = (
        "KL of the next token's prediction to full attention's, which itself is at 0, on a "
        "logarithmic axis."
    )
    if rival is not None:
        caption += (
            f" Bars are 95 % intervals of the difference to {rival.label} (dashed), stream by "
            "stream; colours, where there are several, are the verdicts of the table."
        )
    height = 1.1 + LINE_HEIGHT * len(lines)
    return Drawing(f"ranking{suffix(size)}", heading, caption, (0.72 * WIDTH, height), draw)


def kl_by_bytes(runs: Sequence[Results]) -> Drawing:
    """KL against what is held, a curve per memory over its sizes, a panel per run."""
    curves = [_curves(results) for results in runs]
    labels = dict.fromkeys(label for one in curves for label in one)
    marks = label_marks(runs, labels)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for axes, results, own in zip(panels, runs, curves, strict=True):
            for label, points in own.items():
                axes.plot(*zip(*points, strict=True), label=label, **marks[label].line)
            axes.set_xscale("log")
            axes.set_yscale("log")
            _kl_ticks(axes.yaxis)
            held = {held for points in own.values() for held, _ in points}
            exact_ticks(axes, spread_out(sorted(held)), lambda held: f"{held:.3g}")
            axes.set_xlabel("state, MB per stream")
            tidy_axes(axes, f"streams of {results.config['tokens']:,} tokens")
        panels[0].set_ylabel("KL to full attention (nats)")
        legend_below(figure, {label: marks[label].legend() for label in labels})

    caption = (
        "Prose: KL to full attention against the bytes that later frames attend to, statistics of "
        "slots included; both axes are logarithmic. Further down and to the left is better. "
        f"{GRAMMAR} {_leading(max(len(_all_curves(results)) for results in runs))}"
    )
    size = (WIDTH, 4.0 + legend_height(len(labels)))
    return Drawing("kl-by-bytes", "Closeness against bytes", caption, size, draw)


def label_marks(runs: Sequence[Results], labels: Iterable[str]) -> dict[str, Style]:
    """A style for each label; that of the first rival is a star."""
    families = {one.label: one.family for results in runs for one in results.lines}
    marks = family_styles({label: families[label] for label in labels})
    if ANCHOR in marks:
        marks[ANCHOR] = replace(marks[ANCHOR], marker="*")
    return marks


def has_curves(results: Results) -> bool:
    """Whether any memory holds and loses something."""
    return bool(_all_curves(results))


def by_age(results: Results, size: int | None = None) -> Drawing:
    """Loss by how long ago the evidence passed: copies and scenes."""
    panels = {
        "copy: words written again": [one for one in COPIES if results.has(one)],
        "scene: what stayed as it was": [one for one in SCENE_AGES if results.has(one)],
    }
    panels = {title: measures for title, measures in panels.items() if measures}
    lines = leading(results, lines_of(results, size), with_full=True)
    called = names(results, lines)
    marks = family_styles({called[one]: one.family for one in lines})

    def draw(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, measures) in zip(grid, panels.items(), strict=True):
            for line in lines:
                values: Any = [mean(results, line, one) for one in measures]
                axes.plot(range(len(measures)), values, **marks[called[line]].line)
            ages = [one.head.removeprefix("copy ").removesuffix(" back") for one in measures]
            axes.set_xticks(range(len(ages)), [age.removesuffix(" frames") for age in ages])
            axes.set_xlabel("frames since it was told")
            tidy_axes(axes, title)
        grid[0].set_ylabel("loss (nats)")
        legend_below(figure, {called[one]: marks[called[one]].legend() for one in lines})

    caption = (
        "Loss of what an earlier frame tells, by how many frames ago that was; means over streams. "
        f"{GRAMMAR} {_leading(len(lines_of(results, size)))}"
    )
    size_in_inches = (WIDTH, 3.4 + legend_height(len(lines)))
    heading = of_size("Loss by age", size)
    return Drawing(f"by-age{suffix(size)}", heading, caption, size_in_inches, draw)


def leading(results: Results, lines: Sequence[Line], *, with_full: bool = False) -> list[Line]:
    """The rivals and those of lowest KL, `LEADING` in all, in the order of the lines."""
    full = [one for one in lines if results.reference in one.cells]
    rest = [one for one in lines if one not in full]
    rivals = rivals_in(lines)
    rest.sort(key=lambda one: (one not in rivals, mean(results, one, PROSE_KL) or 0))
    chosen = [*(full if with_full else []), *rest[:LEADING]]
    return [one for one in lines if one in chosen]


def _ranked(
    axes: Axes, place: int, value: float, comparison: Comparison | None, colours: Mapping[str, str]
) -> None:
    if comparison is None:
        axes.plot(value, place, "k*", markersize=10)
        return
    below, above = comparison.mean - comparison.low, comparison.high - comparison.mean
    # A logarithmic axis has no room for what falls below 0.
    bounds = [[min(max(below, 0), 0.9 * value)], [max(above, 0)]]
    axes.errorbar(
        value, place, xerr=bounds, fmt="o", color=colours[comparison.verdict], capsize=2.5,
        markersize=5.5, linewidth=1.4,
    )  # fmt: skip


def _all_curves(results: Results) -> dict[str, list[tuple[float, float]]]:
    """(MB, KL) over a memory's sizes, by label; of what has both."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in sorted(results.lines, key=lambda one: one.state_bytes):
        value = mean(results, line, PROSE_KL)
        if value and line.state_bytes:
            curves.setdefault(line.label, []).append((line.state_bytes / 1e6, value))
    return curves


def _curves(results: Results) -> dict[str, list[tuple[float, float]]]:
    """Of the leading memories, by their KL at the middle of their sizes."""
    curves = _all_curves(results)
    rivals = {one.label for one in rivals_in(results.lines)}
    best = sorted(
        curves, key=lambda name: (name not in rivals, curves[name][len(curves[name]) // 2][1])
    )
    return {label: points for label, points in curves.items() if label in best[:LEADING]}


def _kl_ticks(axis: Any) -> None:
    """Plain numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def spread_out(values: Sequence[float]) -> list[float]:
    """Those that are far enough apart to be named along a logarithmic axis."""
    kept: list[float] = []
    for value in values:
        if not kept or value > 1.5 * kept[-1]:
            kept.append(value)
    return kept


def _leading(count: int) -> str:
    return f"The rivals and the closest of {count} memories." if count > LEADING else ""


def suffix(size: int | None) -> str:
    """Of a figure's name."""
    return "" if size is None else f"-{size}"


def _dot(colour: str) -> Any:
    return Line2D([], [], color=colour, marker="o", linestyle="none", markersize=6)
