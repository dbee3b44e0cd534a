"""Every fixture benchmark on three tiny families with five memories, from files to scores."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from crossframe.experiments.benchmarks import BENCHMARKS
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.methods import (
    FullMemory,
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from .conftest import SAVED, MakeOptions

CELLS: Mapping[str, Cell] = {
    "full": Cell(FullMemory()),
    "exact": Cell(StateKVMemory(None)),  # unbounded, and so equal to full attention
    "statekv": Cell(StateKVMemory(12), frames_per_step=2),
    "window": Cell(SlidingWindowMemory(1)),
    "recency": Cell(RecencyMemory(6)),
    "drop": Cell(TokenDroppingMemory(ratio=0.5)),
}


@pytest.mark.parametrize("family", SAVED)
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_full_run(benchmark: str, family: str, options: MakeOptions) -> None:
    chosen = options(
        benchmark,
        family,
        cells=dict(CELLS),
        reference="full",
        sampling=FrameSampling(1.0, 64, "start"),
        max_new_tokens=2,
    )
    found = evaluate(chosen)
    assert found is not None
    rows = read_rows(chosen.output)
    questions = chosen.benchmark.questions()
    keys = {(cell, question.id) for cell in CELLS for question in questions}
    assert {(row["cell"], row["question"]) for row in rows} == keys
    assert len(rows) == len(keys)
    assert (found["owed"], found["missing"], found["unreadable"]) == (0, [], {})
    for name, cell in found["cells"].items():
        own = [row for row in rows if row["cell"] == name]
        assert cell["scores"] == chosen.benchmark.score(own)
        assert cell["counts"]["answered"] + cell["counts"]["invalid"] == len(questions)
    exact, full = found["cells"]["exact"], found["cells"]["full"]
    assert (exact["agreement"], exact["scores"]) == (1.0, full["scores"])
    assert exact["kl_to_full"] < 1e-6
    assert found["cells"]["recency"]["kl_to_full"] > 1e-5
    assert found["cells"]["drop"]["archive_bytes"] < full["archive_bytes"]
    assert json.loads((chosen.output / "summary.json").read_text()) == found
