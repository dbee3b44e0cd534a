"""Figures and page of a study, also as a browser sees it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crossframe.experiments.ablation.breakdown import breakdown, by_delay, by_length
from crossframe.experiments.ablation.extrapolation import cost_curves, stream_curve, totals
from crossframe.experiments.ablation.figures import Figures, cell_marks, curve_marks, figures_of
from crossframe.experiments.ablation.options import AblateOptions
from crossframe.experiments.ablation.report import page_text
from crossframe.experiments.ablation.results import results_tables
from crossframe.experiments.ablation.tidy import Study
from crossframe.experiments.publishing import ablate_demo as demo
from crossframe.experiments.reports.text import MISSING
from crossframe.experiments.streaming.cells import Cell
from crossframe.framework.flops import stream_flops
from crossframe.methods import WeightStatisticMemory

from ..pages import Elements


def as_seen(page: Path, browser: str) -> str:
    """The page after a browser has built it."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    run = subprocess.run(
        [*command, page.resolve().as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    return run.stdout


@pytest.fixture(scope="module")
def figures(study: Study, options: AblateOptions) -> Figures:
    """Drawn once more."""
    return figures_of(study, options)


def test_figures_are_there_and_not_empty(figures: Figures, options: AblateOptions) -> None:
    files = sorted(path.name for path in (options.output / "figures").iterdir())
    names = ["extrapolation", "length", "tradeoff"]
    assert files == sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg"))
    for path in (options.output / "figures").iterdir():
        assert path.stat().st_size > 10_000
    assert "by delay since the evidence" in figures.left_out[0]


def test_models_without_a_question_are_told_in_the_order_of_the_study(
    study: Study, options: AblateOptions
) -> None:
    names = [f"model {number}" for number in range(12, 0, -1)]
    runs = dict.fromkeys(names, next(iter(study.runs.values())))
    unasked = replace(study, runs=runs, cells=study.cells.assign(decoder_flops=np.nan))
    told = figures_of(unasked, options).left_out
    assert [sentence.partition(":")[0] for sentence in told] == names


def test_figures_are_the_same_every_time(figures: Figures, options: AblateOptions) -> None:
    for drawing in figures.drawings:
        file = options.output / "figures" / f"{drawing.name}.svg"
        assert file.read_text("utf-8") == drawing.svg


def test_the_page_holds_everything_and_loads_nothing(study: Study, options: AblateOptions) -> None:
    page = (options.output / "ablation.html").read_text("utf-8")
    elements = Elements(page)
    assert elements.ids("figure") == ["tradeoff", "length", "extrapolation"]
    assert elements.ids("table") == ["results", "totals"]
    assert [name for name in study.cells["cell"] if f"<td>{name}</td>" not in page] == []
    assert "Only a test &lt;of&gt; it." in page
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']*""", page) == []
    assert "@import" not in page
    assert "Left out" in page


def test_what_is_the_same_or_owed_is_told(
    study: Study, options: AblateOptions, figures: Figures
) -> None:
    study.runs["tiny"].grid.same["another"] = "full"
    told = page_text(replace(study, owed=3), options, figures)
    study.runs["tiny"].grid.left_out.append("isolated, reads carried")
    unread = page_text(study, options, figures)
    study.runs["tiny"].grid.same.clear()
    study.runs["tiny"].grid.left_out.clear()
    assert "<b>isolated, reads carried</b> was not run: nothing is held that" in unread
    assert "<b>another</b> is the same as full and was run once" in told
    assert "Unfinished: 3 rows are owed" in told


@pytest.fixture(scope="module")
def twice(study: Study) -> Study:
    """The study as of two models that do alike."""

    def both(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table.assign(model=name) for name in ("small", "large")])

    run = study.runs["tiny"]
    runs = {"small": run, "large": run}
    return replace(study, runs=runs, rows=both(study.rows), cells=both(study.cells))


@pytest.mark.soak  # ten seconds of drawing
def test_several_models_share_figures(twice: Study, options: AblateOptions) -> None:
    shared = figures_of(twice, options)
    names = ["tradeoff", "across-models", "length", "extrapolation"]
    assert [drawing.name for drawing in shared.drawings] == names


def test_several_models_share_tables(
    twice: Study, options: AblateOptions, figures: Figures
) -> None:
    elements = Elements(page_text(twice, options, figures))
    assert elements.ids("table") == ["results", "measures", "totals"]
    groups = [head.text for head in elements.all("th") if head.attributes.get("class") == "group"]
    assert groups == ["", "small", "large"]
    told = [term.text for term in elements.all("dt")]
    assert [told.count(cell) for cell in study_cells(twice)] == [1] * 7


def study_cells(study: Study) -> list[str]:
    return list(study.cells["cell"].unique())


def test_what_was_not_run_on_a_model_is_missing_there(twice: Study, options: AblateOptions) -> None:
    lacking = (twice.cells["model"] == "large") & (twice.cells["cell"] == "isolated")
    side_by_side, measures = results_tables(replace(twice, cells=twice.cells[~lacking]), options)
    (line,) = (line for line in side_by_side.lines if line[0] == "isolated")
    assert line[1] != MISSING
    assert line[6:] == [MISSING] * 5
    assert [line[:2] for line in measures.lines if line[0] == "isolated"] == [["isolated", "small"]]


def test_remarks_name_models_where_not_all_agree(
    twice: Study, options: AblateOptions, study: Study
) -> None:
    run = study.runs["tiny"]
    other = replace(run, grid=replace(run.grid, same={**run.grid.same, "another": "full"}))
    *_, measures = results_tables(replace(twice, runs={"small": run, "large": other}), options)
    assert "<b>another</b> is the same as full and was run once (large)." in measures.caption


def test_colours_are_of_rules_and_the_same_in_all_figures(study: Study) -> None:
    curves, cells = curve_marks(study.cells, "full"), cell_marks(study.cells)
    assert (curves["full"].colour, curves["full"].marker) == ("#000000", "*")
    rule = curves["statekv"].colour
    assert {cells[name].colour for name in ("statekv 14", "statekv 28", "all of it")} == {rule}
    assert curves["all of it"].colour == rule
    assert curves["all of it"].marker != curves["statekv"].marker
    assert curves["window"].colour == cells["window 2"].colour != rule


def test_extrapolation_follows_the_closed_form(study: Study) -> None:
    run = study.runs["tiny"]
    assert run.look is not None
    curves = {name: curve.flops for curve in cost_curves(run, 300) for name in curve.cells}
    spec, tokens = run.look.spec, run.look.frame_tokens
    for name, bounds in {
        "full": {},
        "statekv 14": {"capacity": 14},
        "window 4": {"window": 4},
        "isolated": {"capacity": 0},
    }.items():
        expected = stream_flops(spec, frames=300, tokens_per_frame=tokens, **bounds)
        assert np.array_equal(curves[name], expected)
    shared = [curve.cells for curve in cost_curves(run, 300) if len(curve.cells) > 1]
    assert shared == [
        ("full", "all of it"),
        ("statekv 14", "window 2"),
        ("statekv 28", "window 4"),
    ]
    sums = [curves["full"][:10].sum(), curves["full"].sum()]
    assert dict(totals(run, [10, 300]))["full, all of it"] == sums


def test_extrapolation_says_what_sessions_counted(study: Study) -> None:
    run = study.runs["tiny"]
    curves = {name: curve.flops for curve in cost_curves(run, 24) for name in curve.cells}
    for row in run.rows:
        assert row["decoder_flops"] == curves[row["cell"]][: row["frames"]].sum()


@pytest.mark.parametrize(("attention", "extra"), [("auto", 1), ("sdpa", 3)])
def test_extrapolation_counts_the_products_of_reductions(
    study: Study, attention: str, extra: int
) -> None:
    look = study.runs["tiny"].look
    assert look is not None
    cell = Cell(WeightStatisticMemory(14, "output_change"), attention=attention)
    tokens = look.frame_tokens
    expected = stream_flops(
        look.spec, frames=30, tokens_per_frame=tokens, capacity=14, extra_products=extra
    )
    assert np.array_equal(stream_curve(cell, look, tokens, 30), expected)


@pytest.mark.parametrize(("swept", "height"), [(True, 5), (False, 3)])
def test_breakdowns_are_drawn_over_amounts_or_as_dots(
    study: Study, swept: bool, height: int
) -> None:
    rows = study.rows if swept else study.rows[study.rows["amount"].isna()]
    marks = curve_marks(study.cells, "full")
    drawing = breakdown(rows, by_length("group_duration"), marks, "full", "slots")
    assert drawing is not None
    assert "long: 2" in drawing.caption
    assert "short: 2" in drawing.caption
    assert len(drawing.svg) > height * 1000


def test_breakdowns_by_frames_and_delay(study: Study) -> None:
    rows = study.rows.assign(delay_s=0.0)
    marks = curve_marks(study.cells, "full")
    assert breakdown(rows, by_delay(), marks, "full", "slots") is None  # one part alone
    rows.loc[rows["video"] == "clip2", "delay_s"] = 42.0
    drawing = breakdown(rows, by_delay(), marks, "full", "slots")
    assert drawing is not None
    assert "0 to 10 s: 2, 30 to 60 s: 2" in drawing.caption
    drawing = breakdown(rows, by_length("frames"), marks, "full", "slots")
    assert drawing is not None
    assert "frames: 2" in drawing.caption


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two amounts and two videos say as much as all; `make ablate-demo` has more."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "CAPACITIES", (27, 54))
        patch.setattr(demo, "CLIPS", 2)
        patch.setattr(demo, "TASKS", ("needle", "recall", "first"))
        demo.main(folder)
    return folder


def test_the_demo_has_real_answers(demo_folder: Path) -> None:
    page = (demo_folder / "ablation.html").read_text("utf-8")
    assert "Its answers are real" in page
    table = pd.read_csv(demo_folder / "cells.csv")
    cells = dict(zip(table["cell"], table["accuracy"], strict=True))
    assert cells["full"] > 90 > cells["isolated frames"] + 20
    assert "Left out" not in page


def test_the_demo_in_a_browser(demo_folder: Path, browser: str) -> None:
    elements = Elements(as_seen(demo_folder / "ablation.html", browser))
    kinds = ("tradeoff", "length", "delay", "extrapolation")
    assert elements.ids("figure") == [*kinds]
    assert elements.ids("table") == ["results", "budget", "totals"]
    assert len(elements.all("svg")) == 4
    assert len(elements.all("path")) > 400
    assert len(elements.all("tr")) > 30


def test_the_browser_test_can_fail(tmp_path: Path, browser: str) -> None:
    page = tmp_path / "empty.html"
    page.write_text("<p>no figure</p>", "utf-8")
    assert Elements(as_seen(page, browser)).ids("figure") == []


def test_page_of_a_study_in_a_browser(study: Study, options: AblateOptions, browser: str) -> None:
    assert len(study.runs) == 1
    elements = Elements(as_seen(options.output / "ablation.html", browser))
    assert elements.ids("table") == ["results", "totals"]
    assert len(elements.ids("figure")) == 3
