"""A folder of a run before classes were named by their public home: two questions, two cells."""

import shutil
from pathlib import Path

import pytest

from crossframe.experiments.benchmarks import BENCHMARKS
from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.framework import FullMemory, Int8Archive
from crossframe.methods import ProtectedSinks, ReadSinksAndRecent, StateKVMemory

from .conftest import Folder

RECORDED = Path(__file__).with_name("first_run")


def chosen(capacity: int = 16) -> EvaluateOptions:
    memory = ProtectedSinks(StateKVMemory(capacity), tokens=2)
    return EvaluateOptions(
        model=ModelOptions("checkpoint", dtype="float32"),
        benchmark=BENCHMARKS["ovobench"](Path("ovobench")),
        cells={
            "full": Cell(FullMemory()),
            "statekv": Cell(memory, ReadSinksAndRecent(), Int8Archive()),
        },
        output=Path("run"),
        sampling=FrameSampling(2.0, 64, "start"),
        max_new_tokens=4,
        limit=2,
        trainer={"accelerator": "cpu"},
        reference="full",
    )


@pytest.fixture
def resumed(benchmark_root: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(RECORDED, tmp_path / "run")
    (tmp_path / "ovobench").symlink_to(benchmark_root("ovobench"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def test_its_rows_count_and_nothing_is_asked_again(
    resumed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelOptions, "load", None)
    found = evaluate(chosen())
    assert found is not None
    assert (found["questions"], found["owed"]) == (2, 0)
    for name in ("config.json", "rows-0.jsonl"):
        assert (resumed / name).read_bytes() == (RECORDED / name).read_bytes()


@pytest.mark.usefixtures("resumed")
def test_other_settings_are_still_noticed() -> None:
    with pytest.raises(ValueError, match=r"inner.init_args.capacity was 16, is 8"):
        evaluate(chosen(8))
