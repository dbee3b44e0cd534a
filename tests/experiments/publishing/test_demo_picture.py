"""The picture of a page for README."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from crossframe.experiments.publishing import demo_picture
from crossframe.experiments.publishing.demo_picture import SIZE, take_picture

ROOT = Path(__file__).parents[3]


def test_readme_shows_a_picture_of_that_size() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    first = readme[readme.index("![") :].partition(")")[0]
    assert first.endswith(f"]({demo_picture.PICTURE}")
    with Image.open(ROOT / demo_picture.PICTURE) as picture:
        assert picture.size == SIZE


@pytest.mark.usefixtures("browser")
def test_a_page_becomes_a_picture_of_its_colours(tmp_path: Path) -> None:
    page, output = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text("<body style='background: #ff8000'></body>", "utf-8")
    take_picture(page, output)
    with Image.open(output) as picture:
        assert picture.size == SIZE
        assert picture.convert("RGB").getpixel((500, 500)) == (255, 128, 0)


def test_no_browser_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ValueError, match=r"needs one of chromium, .*: install one"):
        demo_picture.browser()
