"""README tables are generated from the committed results, and renewed in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe.experiments.publishing.pages import renew, section
from crossframe.experiments.publishing.publish import PAGES, part, without_paths

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_the_committed_results(name: str) -> None:
    expected = section(name, part(ROOT / "docs" / "results", name))
    assert expected in (ROOT / PAGES[name]).read_text("utf-8"), (
        "run python -m crossframe.experiments.publishing.publish"
    )


def test_only_the_marked_part_of_a_page_is_renewed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{section('rows', 'old')}\nafter\n")
    renew(page, "rows", "new")
    assert page.read_text() == f"before\n{section('rows', 'new')}\nafter\n"


def test_a_page_without_markers_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="has no place for rows: add the lines"):
        renew(page, "rows", "new")


def test_published_results_name_no_place_on_a_machine() -> None:
    result = {"config": {"video": "/somewhere/demo.mp4", "fps": 1}, "rows": []}
    assert without_paths(result)["config"] == {"video": "demo.mp4", "fps": 1}
