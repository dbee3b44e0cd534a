import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crossframe.experiments.command.cli import main

Dump = Callable[..., str]
MakeVideo = Callable[..., Path]
CAPACITY = 12


def run(videos: list[Path], checkpoint: Path, folder: Path, *options: str) -> int:
    paths = [str(video) for video in videos]
    model = ["--model", str(checkpoint), "--output", str(folder), "--frames", "8"]
    return main(["observe", *paths, *model, *options])


@pytest.fixture(scope="session")
def folder(
    checkpoint: Path, make_video: MakeVideo, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two videos, of 8 and of 5 frames."""
    folder = tmp_path_factory.mktemp("observed") / "new" / "folder"
    videos = [make_video("long one.mp4", frames=9), make_video("short.mp4", frames=5)]
    options = ["--capacities", "1", "4", "16", "60", "--recent-frames", "1", "2", "6"]
    assert run(videos, checkpoint, folder, *options, "--capacity", str(CAPACITY)) == 0
    return folder


@pytest.fixture(scope="session")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    found = found or shutil.which("google-chrome")
    if found is None:
        pytest.skip("NO CHROMIUM HERE: pages are written but not opened")
    return found


@pytest.fixture
def dump(browser: str, tmp_path: Path) -> Dump:
    """The page as a browser has it after its scripts ran; fails on any error of a script."""

    def opened(page: Path, place: str = "") -> str:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
        command += ["--virtual-time-budget=4000", "--dump-dom", page.resolve().as_uri() + place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return opened


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


class Elements(HTMLParser):
    """All elements of a page with the text directly and indirectly in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._open: list[Element] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.found.append(element)
        if tag not in ("meta", "input", "br", "img", "link"):  # these have no end
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.found if element.tag == tag]

    def by_id(self, name: str) -> Element:
        (element,) = (each for each in self.found if each.attributes.get("id") == name)
        return element


@pytest.fixture(scope="session")
def elements() -> type[Elements]:
    return Elements
