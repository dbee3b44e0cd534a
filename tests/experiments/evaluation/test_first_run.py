"""A folder of a run before classes were named by their public home: two questions, two cells."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.framework import Int8Archive
from crossframe.methods import ProtectedSinks, ReadSinksAndRecent, StateKVMemory

RECORDED = Path(__file__).with_name("first_run")


@pytest.fixture
def resumed(recorded: Callable[[str], EvaluateOptions]) -> Callable[[int], EvaluateOptions]:
    options = recorded(RECORDED.name)

    def get(capacity: int) -> EvaluateOptions:
        memory = ProtectedSinks(StateKVMemory(capacity), tokens=2)
        other = Cell(memory, ReadSinksAndRecent(), Int8Archive())
        return replace(options, cells={**options.cells, "statekv": other})

    return get


def test_its_rows_count_and_nothing_is_asked_again(
    resumed: Callable[[int], EvaluateOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelOptions, "load", None)
    found = evaluate(resumed(16))
    assert found is not None
    assert (found["questions"], found["owed"]) == (2, 0)
    for name in ("config.json", "rows-0.jsonl"):
        assert (Path("run") / name).read_bytes() == (RECORDED / name).read_bytes()


def test_other_settings_are_still_noticed(resumed: Callable[[int], EvaluateOptions]) -> None:
    with pytest.raises(ValueError, match=r"inner.init_args.capacity was 16, is 8"):
        evaluate(resumed(8))
