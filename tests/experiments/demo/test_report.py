"""The demo's tables and page."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from crossframe.experiments.demo.report import DemoReport, print_demo
from crossframe.experiments.demo.settings import MEMORIES
from crossframe.experiments.demo.table import answers_table, costs_table, further_table

from ..pages import Elements


@pytest.fixture(scope="module")
def folder(report: DemoReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    report.write(folder)
    return folder


def test_the_terminal_shows_questions_answers_and_costs(report: DemoReport) -> None:
    console = Console(file=io.StringIO(), width=100)
    print_demo(report, console)
    told = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    lacking = [one["question"] for one in report.questions if one["question"] not in told]
    assert lacking == []
    assert [name for name in MEMORIES if told.count(name) < 3] == []
    assert f"✓ {report.questions[0]['right answer']}" in told
    assert "Right on 3 further clips, seeds 2 to 4" in told


def test_a_wrong_answer_is_marked_and_an_empty_one_told() -> None:
    questions = [{"task": "now", "right answer": "red"}, {"task": "last", "right answer": "blue"}]
    answers = [{"now": "red", "last": "green"}, {"now": "", "last": "\x1b"}]
    rows = [{"memory": f"m{number}", "answers": one} for number, one in enumerate(answers)]
    first, second = answers_table(questions, rows).lines
    assert first == ["m0", "✓ red", "✗ green"]
    assert second == ["m1", "✗ –", "✗ \N{REPLACEMENT CHARACTER}"]


def test_what_was_not_read_is_missing_in_the_table() -> None:
    tallies = {"archive": {"now": {"right": 2, "asked": 3}}}
    rows = [{"memory": "isolated", "further": tallies}]
    assert further_table(rows).lines == [["isolated", "2/3"]]
    assert further_table(rows, "carried").lines == [["isolated", "–"]]


def test_how_far_shares_may_be_off_is_told() -> None:
    tallies = {"archive": {"now": {"right": 2, "asked": 100}, "last": {"right": 2, "asked": 64}}}
    caption = further_table([{"memory": "full", "further": tallies}]).caption
    assert "standard error of a share is at most 6 points" in caption


def test_costs_are_those_of_the_rows(report: DemoReport) -> None:
    full, *_ = costs_table(report.rows).lines
    assert full[:4] == ["full", "100%", "0", "0.0%"]
    assert len(costs_table(report.rows).lines) == len(MEMORIES)


def test_the_page_holds_everything_and_loads_nothing(folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    elements = Elements(page)
    tables = ["questions", "answers", "further-archive", "further-carried", "costs"]
    assert elements.ids("table") == tables
    assert elements.ids("figure") == ["held", "frame", "total", "bytes"]
    strips = [name for name in elements.ids("div") if name.startswith("strip-")]
    assert strips == ["strip-video", "strip-statekv", "strip-window"]
    assert page.count("background-image: url(data:image/jpeg;base64,") == 30
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)[^"']*""", page) == []
    assert "@import" not in page
    assert "Nothing was picked" in page
    assert "part judge, seed 1, frames 240" in page


def test_evidence_is_marked_in_the_strip(folder: Path, report: DemoReport) -> None:
    page = (folder / "report.html").read_text("utf-8")
    strip = page[page.index('id="strip-video"') : page.index('id="questions"')]
    for one in report.questions:
        assert strip.count(f'class="task-{one["task"]}"') == len(one["shown at"])


def test_files_for_programs(folder: Path, report: DemoReport) -> None:
    written = json.loads((folder / "rows.json").read_text("utf-8"))
    assert [row["memory"] for row in written["rows"]] == list(MEMORIES)
    assert written["config"]["questions"] == list(report.questions)
    assert written["rows"][0]["further"]["archive"]["now"]["asked"] <= 3
    assert (folder / "steps.csv").read_text("utf-8").count("\n") == 1 + len(MEMORIES) * 31
