"""Comparisons from Python say what the command says, and show themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.experiments import compare
from crossframe.experiments.demo.clip import video_path
from crossframe.framework import VideoModel
from crossframe.methods import SlidingWindowMemory, StateKVMemory
from crossframe.models import load_model

QUESTION = "what colour is it ?"


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return load_model("crossframe/tiny-internvl3", device="cpu")


def test_memories_are_given_as_texts_or_as_they_are(model: VideoModel, tmp_path: Path) -> None:
    done = compare(
        video_path(),
        QUESTION,
        model=model,
        memories=["statekv", SlidingWindowMemory(2)],
        readers=["all", "carried"],
        capacity=16,
        end=8.0,
        max_new_tokens=2,
    )
    assert repr(done) == f"Compared(4 answers to {QUESTION!r})"
    assert done.rows["memory"].tolist() == ["statekv"] * 2 + ["SlidingWindowMemory(frames=2)"] * 2
    assert done.rows["settings"].tolist()[0] == "StateKVMemory(capacity=16)"
    assert set(done.steps["memory"]) == set(done.rows["memory"])
    assert [drawing.name for drawing in done.figures] == ["frame", "total", "bytes"]
    page = done._repr_html_()
    assert page.startswith("<iframe srcdoc=") and "SlidingWindowMemory(frames=2)" in page
    done.write(tmp_path)
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 4


def test_names_of_ones_own(model: VideoModel) -> None:
    memories = {"mine": StateKVMemory(8), "short": "recency(8)"}
    done = compare(
        video_path(), QUESTION, model=model, memories=memories, end=4.0, max_new_tokens=1
    )
    assert done.rows["memory"].tolist() == ["mine", "short"]


def test_what_is_named_twice_is_refused(model: VideoModel) -> None:
    with pytest.raises(ValueError, match=r"listed more than once: full; name each once"):
        compare(video_path(), QUESTION, model=model, memories=["full", "full"])
