"""When a memory pays: published tables are current, and say what a walk frame by frame says."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from crossframe.experiments.publishing import model_cost
from crossframe.experiments.publishing.model_cost import Cost
from crossframe.experiments.publishing.pages import section
from crossframe.models.real_models import REAL_MODELS

DOCS = Path(__file__).parents[3] / "docs"


def test_committed_tables_are_current(tmp_path: Path) -> None:
    committed = (DOCS / "cost.md").read_text()
    assert section(model_cost.NAME, model_cost.body()) in committed, (
        "run python -m crossframe.experiments.publishing.model_cost --write docs"
    )
    (tmp_path / "cost.md").write_text(committed)
    model_cost.main(tmp_path)
    for name in ("cost.md", "figures/model_cost.svg"):
        assert (tmp_path / name).is_file()
    old, new = (
        json.loads((folder / "results" / "model_cost.json").read_text())
        for folder in (DOCS, tmp_path)
    )
    assert old == new


@pytest.mark.parametrize("name", REAL_MODELS)
@pytest.mark.parametrize("ratio", model_cost.RATIOS)
def test_the_first_frame_is_the_first(name: str, ratio: float) -> None:
    cost = Cost(REAL_MODELS[name])
    walked = next(
        frame
        for frame in count(1)
        if cost.full(cost.step_of(frame)) >= ratio * cost.bounded(cost.step_of(frame))
    )
    assert cost.first_frame(ratio) == walked


def test_pairs_of_frames_pass_together() -> None:
    cost = Cost(REAL_MODELS["Qwen3-VL-8B"])
    assert [cost.step_of(frame) for frame in (1, 2, 3, 4, 5)] == [0, 0, 1, 1, 2]
