"""What figures draw, read from their axes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from crossframe.experiments.evidence.comparisons import mean
from crossframe.experiments.evidence.figures import (
    LEADING,
    VERDICT_COLOURS,
    by_age,
    kl_by_bytes,
    leading,
    ranking,
)
from crossframe.experiments.evidence.heat_map import heat_map
from crossframe.experiments.evidence.measures import AGREEMENT, COPIES, NEEDLE, PROSE_KL
from crossframe.experiments.evidence.results import Results

Make = Callable[..., Results]


def ticks(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def test_memories_are_ranked_by_what_they_lose(results: Make) -> None:
    drawing = ranking(results())
    (axes,) = drawing.figure.axes
    assert ticks(axes)[-3:] == ["statekv", "tova", "h2o"], "the closest on top"
    assert ticks(axes)[0] == "isolated"
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend == ["better than statekv", "worse than statekv", "equivalent"]


def test_streams_too_few_for_verdicts_get_one_colour_and_no_legend(results: Make) -> None:
    assert not ranking(results(streams=8)).figure.legends


def test_a_curve_has_a_point_for_each_size(results: Make) -> None:
    short = results((64, 128, 256), streams=2)
    long = replace(short, config={**short.config, "tokens": 2048})
    first, second = kl_by_bytes([short, long]).figure.axes
    assert "2,048" in second.get_title("left")
    curves = {str(line.get_label()): line for line in first.get_lines()}
    assert set(curves) == {one.label for one in short.lines} - {"full", "isolated"}
    held, lost = map(np.asarray, curves["h2o"].get_data())
    assert held.tolist() == [3.072, 6.144, 12.288]
    assert (np.diff(lost) < 0).all()


def test_loss_by_age_has_a_panel_for_each_suite_that_is_there(results: Make) -> None:
    copy, scene = by_age(results()).figure.axes
    assert [len(axes.get_xticks()) for axes in (copy, scene)] == [4, 5]
    (alone,) = by_age(results(suites=("scene",))).figure.axes
    assert alone.get_title("left").startswith("scene")


def test_the_heat_map_says_differences_and_colours_losses(results: Make) -> None:
    found = results()
    (axes,) = heat_map(found, (PROSE_KL, COPIES[0], NEEDLE)).figure.axes
    said = {(round(text.get_position()[0]), round(text.get_position()[1])): text
            for text in axes.texts}  # fmt: skip
    shown = ticks(axes)
    assert {"full", "statekv"} & set(shown) == set()
    assert len(said) == 3 * len(shown)
    h2o = said[0, shown.index("h2o")]
    lines = {one.label: one for one in found.lines}
    ours, theirs = (mean(found, lines[name], PROSE_KL) or 0 for name in ("h2o", "statekv"))
    assert h2o.get_text() == f"{ours - theirs:+.3f}"
    assert h2o.get_fontweight() == "bold"
    assert said[0, shown.index("tova")].get_fontweight() == "normal"
    better, worse = (to_rgb(VERDICT_COLOURS[name]) for name in ("better", "worse"))
    assert colour(axes, 0, shown.index("h2o")) == better
    assert colour(axes, 0, shown.index("recency")) == worse
    (agreement,) = heat_map(found, (AGREEMENT,)).figure.axes
    assert colour(agreement, 0, shown.index("h2o")) == better, "where more is better"
    assert colour(agreement, 0, shown.index("recency")) == worse


def colour(axes, column: int, row: int) -> tuple[float, ...]:
    """The topmost square's, without how strong it is."""
    at = [p for p in axes.patches if p.contains_point(axes.transData.transform((column, row)))]
    return at[-1].get_facecolor()[:3]


def test_a_heat_map_needs_a_rival(results: Make) -> None:
    found = results(streams=1)
    rows = [row for row in found.rows if row["cell"] in ("full", "tova/128")]
    with pytest.raises(ValueError, match="differences to a rival: run statekv too"):
        heat_map(Results(rows, found.config), (PROSE_KL,))


def test_rivals_and_the_closest_lead(results: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = results()
    assert len(leading(found, found.lines)) == 8 <= LEADING
    monkeypatch.setattr("crossframe.experiments.evidence.figures.LEADING", 5)
    labels = [one.label for one in leading(found, found.lines, with_full=True)]
    assert labels == ["full", "sinks + recent", "statekv", "h2o", "tova", "random + 4 sinks"]
