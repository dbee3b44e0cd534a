"""What all pages share: escaping, tables, and what a template must be given."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from crossframe.experiments.reports.page import templates, web_page
from crossframe.experiments.reports.tables import Table

from ..pages import Elements

Opened = Callable[[str, str], str]
EMPTY = {"parts": [], "cells": {}, "settings": {}, "environments": []}


def rendered(table: Table) -> str:
    text = '{% from "reports/macros.html" import explained %}{{ explained(found) }}'
    return templates().from_string(text).render(found=table)


@pytest.fixture
def opened(tmp_path: Path, browser: str) -> Opened:
    """A page with this body in a browser, after a script on it."""

    def after(body: str, script: str) -> str:
        whole = '{% extends "reports/page.html" %}{% block body %}{{ body|safe }}{% endblock %}'
        page = templates().from_string(whole).render(title="t", note="", body=body)
        path = tmp_path / "page.html"
        path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    return after


def test_texts_are_escaped_and_markup_is_not() -> None:
    settings = {"<a>": "<script>\x1b[31m", "kept": Markup("<b>bold</b>")}
    page = web_page("evidence/evidence.html", "1 < 2", "a & b", about="", **EMPTY | {
        "settings": settings
    })  # fmt: skip
    assert "<title>1 &lt; 2</title>" in page
    assert '<p class="note">a &amp; b</p>' in page
    assert "<dt>&lt;a&gt;</dt><dd>&lt;script&gt;\N{REPLACEMENT CHARACTER}[31m</dd>" in page
    assert "<b>bold</b>" not in page, "settings are text, whatever their type"
    cell = Markup("1 <small>[0, 2]</small>")
    assert f"<td>{cell}</td><td>&lt;i&gt;</td>" in rendered(
        Table("t", "h", ["a", "b"], [[cell, "<i>"]])
    )


def test_a_page_without_a_note_has_no_place_for_one() -> None:
    page = web_page("evidence/evidence.html", "title", about="", **EMPTY)
    assert '<p class="note">' not in page


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'about' is undefined"):
        web_page("evidence/evidence.html", "title", **EMPTY)


def test_tables_have_groups_kinds_and_marked_lines() -> None:
    table = Table(
        "name",
        "Heading",
        ["a", "b", "c"],
        [["1", "2", "3"], ["4", "5", "6"]],
        "Caption.",
        kinds=("text", "", "first"),
        groups=[("", 1), ("both", 2)],
        marked=[1],
    )
    text = re.sub(r"\s*\n\s*", "", rendered(table))
    assert text == (
        '<h2>Heading</h2><div class="scroll"><table id="name" class="sortable"><thead>'
        '<tr><th colspan="1" class="group"></th><th colspan="2" class="group">both</th></tr>'
        '<tr><th class="text">a</th><th>b</th><th class="first">c</th></tr></thead><tbody>'
        '<tr><td class="text">1</td><td data-value="2.0">2</td>'
        '<td class="first" data-value="3.0">3</td></tr>'
        '<tr class="reference"><td class="text">4</td><td data-value="5.0">5</td>'
        '<td class="first" data-value="6.0">6</td></tr>'
        '</tbody></table></div><p class="small">Caption.</p>'
    )


JUDGED = Table(
    "judged",
    "Judged",
    ["memory", "right", "held", "archive", "KL"],
    [
        ["full", "100%", "1.2 MB", "9 kB", "0"],
        ["few", "80%", "900 kB", "9 kB", "0.2 [0.1, 0.3]"],
        ["none", "70%", "", "9 kB", "0.1 [0.0, 0.2]"],
    ],
    groups=[("", 1), ("answers", 1), ("bytes", 2), ("", 1)],
    marked=[0],
    better=(0, 1, -1, -1, -1),
)


def test_the_best_stand_out_and_what_is_alike_is_told_once() -> None:
    page = rendered(JUDGED)
    best = re.findall(r'<td class="best"[^>]*>([^<]*)</td>', page)
    assert best == ["80%", "0.1 [0.0, 0.2]"]
    assert "Bold: the best of its column, shaded lines apart." in page
    assert "Alike in all lines: bytes, archive 9 kB." in page
    assert re.findall(r'colspan="(\d)" class="group">(\w*)<', page) == [
        *(("1", ""), ("1", "answers"), ("1", "bytes"), ("1", ""))
    ]


def test_a_table_that_is_not_judged_stays_as_it_is() -> None:
    page = rendered(replace(JUDGED, better=()))
    assert page.count("9 kB") == 3
    assert "best" not in page
    assert "Alike" not in page


def test_where_all_are_as_good_none_is_best() -> None:
    assert Table("t", "h", ["a", "b"], [["x", "1"], ["y", "1.0"]], better=(0, 1)).best == set()


@pytest.mark.parametrize(
    ("head", "clicks", "order"),
    [
        ("held", 1, ["few", "full", "none"]),  # by bytes; what has none comes last
        ("held", 2, ["full", "few", "none"]),
        ("memory", 2, ["none", "full", "few"]),
        ("KL", 1, ["full", "none", "few"]),
    ],
)
def test_tables_are_sorted_by_a_click(
    head: str, clicks: int, order: list[str], opened: Opened
) -> None:
    found = f"[...document.querySelectorAll('th')].find((th) => th.textContent === '{head}')"
    page = opened(rendered(JUDGED), clicks * f"{found}.click();")
    assert re.findall(r"<tr[^>]*>\s*<td[^>]*>(\w+)", page) == order
    (sorted_by,) = re.findall(r'aria-sort="(\w+)"', page)
    assert sorted_by == ("ascending", "descending")[clicks - 1]


def test_lines_keep_what_stands_below_them(opened: Opened) -> None:
    table = Table("t", "h", ["a", "b"], [["x", "2"], ["y", "1"]], details=["of x", "of y"])
    page = opened(rendered(table), "document.querySelectorAll('th')[1].click();")
    said = [cell.text.strip() for cell in Elements(page).all("td")]
    assert said == ["y", "1", "of y", "x", "2", "of x"]


@pytest.mark.parametrize(("clicks", "shown"), [(1, "enlarges enlarged"), (2, "enlarges")])
def test_pictures_are_enlarged_by_a_click(clicks: int, shown: str, opened: Opened) -> None:
    picture = '<div class="enlarges" id="picture">...</div>'
    page = opened(picture, clicks * "document.getElementById('picture').click();")
    assert Elements(page).by_id("picture").attributes["class"] == shown
