"""A study from Python is the command's: its rows, its page, and it goes on where it stopped."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments import ablate
from crossframe.experiments.ablation import run
from crossframe.experiments.benchmarks import VideoMME
from crossframe.experiments.notebook import Ablated
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.methods import SlidingWindowMemory, StateKVMemory

Built = Callable[[str], Path]
Study = Callable[..., Ablated]


@pytest.fixture(scope="module")
def study(built: Built, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small study in one folder."""
    folder = tmp_path_factory.mktemp("study")

    def ask(**changes: Any) -> Ablated:
        settings: dict[str, Any] = {
            "models": str(checkpoint),
            "output": folder,
            "memories": ["statekv", StateKVMemory(None)],
            "fixed": {"short": SlidingWindowMemory(2)},
            "capacities": [14],
            "sampling": FrameSampling(4.0, 512),
            "max_new_tokens": 2,
            "limit": 2,
            "trainer": {"accelerator": "cpu", "logger": False},
        }
        return ablate(VideoMME(built("videomme")), **(settings | changes))

    return ask


def test_a_study_has_rows_cells_figures_and_the_page(study: Study, checkpoint: Path) -> None:
    done = study()
    model = checkpoint.name
    assert list(done.cells["cell"]) == ["full", "short", "statekv 14"]  # equal cells are run once
    assert repr(done) == f"Ablated(6 rows of 3 cells on {model})"
    assert set(done.rows["question"]) == {"000-first", "000-last"}
    assert [drawing.name for drawing in done.figures] == ["tradeoff", "extrapolation"]
    shown = re.fullmatch(r'<iframe srcdoc="(.*)" style="[^"]*"></iframe>', done._repr_html_(), re.S)
    assert shown is not None
    assert unescape(shown[1]) == done.page.read_text("utf-8")


def test_a_study_goes_on_with_more_amounts(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "write_report", lambda *_: None)  # half of the time
    study()
    loads: list[str] = []
    real = ModelOptions.load
    monkeypatch.setattr(ModelOptions, "load", lambda self: loads.append(self.model) or real(self))
    assert len(study().rows) == 6
    assert not loads
    assert len(study(capacities=[14, 21]).rows) == 8


def test_one_of_several_processes_is_refused(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "evaluate", lambda *_, **__: None)  # as in all but the first
    with pytest.raises(ValueError, match=r"one of several processes.*crossframe ablate --config"):
        study()
