"""Fixture benchmarks, tiny checkpoints and options that every test of a run starts from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import BENCHMARKS
from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.rows import Row, RowFile, key_of, read_rows
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.methods import FullMemory, StateKVMemory

SAVED: Mapping[str, Callable[[Path], Path]] = {
    "internvl3": save_tiny_checkpoint,
    "qwen3_vl": partial(save_tiny_checkpoint, family="qwen3_vl"),
    "eagle2_5": partial(save_tiny_checkpoint, family="eagle2_5"),
}

HOLD = """
import sys, time
from pathlib import Path
from crossframe.experiments.evaluation.folder import run_folder
with run_folder(Path(sys.argv[1]), {'cells': {}}, int(sys.argv[2]), int(sys.argv[3])):
    print("held", flush=True)
    time.sleep(600)
"""

Folder = Callable[[str], Path]
MakeOptions = Callable[..., EvaluateOptions]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder of a tiny checkpoint, written once a run; read only."""

    @cache
    def get(family: str) -> Path:
        return SAVED[family](tmp_path_factory.mktemp(family))

    return get


@pytest.fixture
def options(built: Folder, tiny: Folder, tmp_path: Path) -> MakeOptions:
    """Options of a small run over OVO-Bench: 9 questions about 2 videos, at moments of them."""

    def make(name: str = "ovobench", family: str = "internvl3", **changes: Any) -> EvaluateOptions:
        settings: dict[str, Any] = {
            "model": ModelOptions(str(tiny(family)), dtype="float32"),
            "benchmark": BENCHMARKS[name](built(name)),
            "cells": {"full": Cell(FullMemory()), "statekv": Cell(StateKVMemory(16))},
            "output": tmp_path / "run",
            "sampling": FrameSampling(2.0, 64, "start"),
            "max_new_tokens": 4,
            "trainer": {"accelerator": "cpu"},
        }
        return EvaluateOptions(**settings | changes)

    return make


def write_rows(folder: Path, rows: Iterable[Row], rank: int = 0) -> Path:
    """The file to which one process of a run added these rows."""
    folder.mkdir(exist_ok=True)
    with closing(RowFile(folder, rank)) as file:
        file.append(rows)
    return file.path


@pytest.fixture
def recorded(
    built: Folder, tiny: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], EvaluateOptions]:
    """A copy of a recorded folder of two questions and two cells, where its paths stand for
    fixtures, and the options that made it but for other cells."""

    def get(name: str) -> EvaluateOptions:
        monkeypatch.chdir(tmp_path)
        shutil.copytree(Path(__file__).with_name(name), "run")
        Path("ovobench").symlink_to(built("ovobench"))
        Path("checkpoint").symlink_to(tiny("internvl3"))
        return EvaluateOptions(
            model=ModelOptions("checkpoint", dtype="float32"),
            benchmark=BENCHMARKS["ovobench"](Path("ovobench")),
            cells={"full": Cell(FullMemory()), "statekv": Cell(StateKVMemory(16))},
            output=Path("run"),
            reference="full",
            sampling=FrameSampling(2.0, 64, "start"),
            max_new_tokens=4,
            limit=2,
            trainer={"accelerator": "cpu", "logger": False},
        )

    return get


@contextmanager
def held_by_another(folder: Path, rank: int, world: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a place in the folder until it is killed."""
    command = [sys.executable, "-c", HOLD, str(folder), str(rank), str(world)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def untimed(folder: Path) -> list[Row]:
    """All rows without timings, threads and commit (the checkout may change between two runs), in
    an order that does not depend on who wrote them."""
    rows = [
        {name: value for name, value in row.items() if not name.endswith(("_ms", "commit"))}
        for row in read_rows(folder)
    ]
    for row in rows:
        row.get("environment", {}).pop("threads", None)
    return sorted(rows, key=key_of)
