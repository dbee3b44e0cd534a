"""What all pages share: escaping, tables, and what a template must be given."""

import re

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from crossframe.experiments.reports.page import templates, web_page
from crossframe.experiments.reports.tables import Table

EMPTY = {"parts": [], "cells": {}, "settings": {}, "environments": []}


def rendered(table: Table) -> str:
    text = '{% from "reports/macros.html" import explained %}{{ explained(found) }}'
    return templates().from_string(text).render(found=table)


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
        '<h2>Heading</h2><div class="scroll"><table id="name"><thead>'
        '<tr><th colspan="1" class="group"></th><th colspan="2" class="group">both</th></tr>'
        '<tr><th class="text">a</th><th>b</th><th class="first">c</th></tr></thead><tbody>'
        '<tr><td class="text">1</td><td>2</td><td class="first">3</td></tr>'
        '<tr class="reference"><td class="text">4</td><td>5</td><td class="first">6</td></tr>'
        '</tbody></table></div><p class="small">Caption.</p>'
    )
