import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.experiments.command.cli import main

Dump = Callable[..., str]
MakeVideo = Callable[..., Path]
CAPACITY = 12
BESIDE = ("--beside", "window(frames=1)")


def run(videos: list[Path], checkpoint: Path, folder: Path, *options: str) -> int:
    paths = [str(video) for video in videos]
    model = ["--model", str(checkpoint), "--output", str(folder), "--frames", "8"]
    return main(["observe", *paths, *model, *options])


@pytest.fixture(scope="session")
def folder(
    checkpoint: Path, make_video: MakeVideo, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two videos, of 8 and of 5 frames, and two memories of each."""
    folder = tmp_path_factory.mktemp("observed") / "new" / "folder"
    videos = [make_video("long one.mp4", frames=9), make_video("short.mp4", frames=5)]
    options = ["--capacities", "1", "4", "16", "60", "--recent-frames", "1", "2", "6"]
    assert run(videos, checkpoint, folder, *options, "--capacity", str(CAPACITY), *BESIDE) == 0
    return folder


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
