"""The wheel in a bare environment, with each extra: what it has works, what it lacks is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SESSION = """
from crossframe.framework import FullMemory, VideoSession, FrameTokens
from crossframe.framework.reference import ReferenceDecoder
import torch
session = VideoSession(ReferenceDecoder(), FullMemory())
session.push(FrameTokens(torch.zeros(1, 3, 24).double(), torch.arange(3)[None, None]))
print(session.question_logits([1]).shape)
"""
LAWS = """
from crossframe.framework.testing import check_memory
from crossframe.methods import StateKVMemory
check_memory(StateKVMemory(3), unbounded=StateKVMemory(None), max_examples=1)
print("kept")
"""
# By extra: words of a command, its status, and what it says.
RUNS = {
    "": [
        (["-c", SESSION], 0, "torch.Size([1, 1, 31])"),
        (["-m", "crossframe", "--version"], 0, "crossframe 0."),
        (["-m", "crossframe", "ask", "--help"], 2, "crossframe[experiments]"),
        (["-c", LAWS], 1, "crossframe[testing]"),
    ],
    "testing": [(["-c", LAWS], 0, "kept")],
    "experiments": [
        (["-m", "crossframe", "ask", "--help"], 0, "usage: crossframe ask"),
        (["-m", "crossframe", "evaluate", "--help"], 0, "usage: crossframe evaluate"),
    ],
    "families": [(["-c", "import num2words, timm; print(timm.__version__)"], 0, "1.")],
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the tree as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *build], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.soak
@pytest.mark.parametrize("extra", RUNS)
def test_a_bare_environment_has_what_its_extra_promises(
    extra: str, wheel: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "bare")], check=True)
    python = str(tmp_path / "bare/bin/python")
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([python, "-m", "pip", "--quiet", "install", what], check=True)
    for words, status, said in RUNS[extra]:
        done = subprocess.run(
            [python, *words], capture_output=True, text=True, cwd=tmp_path, env={}, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert said in done.stdout + done.stderr
