"""The pages in docs/methods/ say what the docstrings say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossframe import methods
from crossframe.experiments.publishing.method_pages import documented, index, main, page, pages
from crossframe.framework import CrossFrameMemory, Reader
from crossframe.methods import StateKVMemory

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "methods"


@pytest.mark.parametrize("name", sorted(pages()))
def test_page_on_disk_is_the_generated_one(name: str) -> None:
    where = "run `python -m crossframe.experiments.publishing.method_pages`"
    assert (FOLDER / name).is_file(), where
    assert (FOLDER / name).read_text("utf-8") == pages()[name], where


def test_no_page_is_left_of_a_class_that_is_gone() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(pages())


def test_every_rule_has_a_page_and_a_line_in_the_index() -> None:
    text = index(documented())
    for kind in documented():
        assert f"`{kind.__name__}`" in text
    assert methods.StateKVMemory in documented()


def test_a_page_has_settings_rule_and_cost() -> None:
    text = page(StateKVMemory)
    assert "crossframe.methods.StateKVMemory(capacity)" in text
    assert "**Rule.** After each step rank" in text or "**Rule.** after each step rank" in text
    assert "- `capacity`: slots per KV head, the paper's B" in text
    assert "**Cost per frame.**" in text
    assert "**Bytes held.**" in text


@pytest.mark.parametrize("kind", documented(), ids=lambda kind: kind.__name__)
def test_every_rule_tells_what_it_costs(kind: type) -> None:
    text = " ".join((kind.__doc__ or "").split())
    if issubclass(kind, CrossFrameMemory):
        assert "Cost per frame" in text
    if issubclass(kind, Reader):
        assert "Cost per question: " in text
    else:
        assert "ytes held" in text


def test_links_of_the_index_lead_to_pages() -> None:
    links = re.findall(r"\]\(([^)]+)\)", index(documented()))
    assert len(links) == len(documented())
    assert set(links) <= set(pages())


def test_pages_of_removed_classes_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "methods"
    folder.mkdir(parents=True)
    (folder / "gone.md").write_text("old", "utf-8")
    main(tmp_path)
    assert {path.name for path in folder.iterdir()} == set(pages())
