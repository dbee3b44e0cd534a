"""Published layouts without their videos: small annotation files, and empty files for videos."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from crossframe.experiments.publishing.small_benchmarks import FIXTURES, write_mlvu_original

WriteRows = Callable[[str, Sequence[Mapping[str, Any]]], Path]
Touch = Callable[..., None]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a fixture benchmark, written once a run; read only."""
    writers, written = {**FIXTURES, "mlvu_original": write_mlvu_original}, dict[str, Path]()

    def get(name: str) -> Path:
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name)
            writers[name](written[name])
        return written[name]

    return get


@pytest.fixture
def write_parquet(tmp_path: Path) -> WriteRows:
    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        return path

    return write


@pytest.fixture
def write_json(tmp_path: Path) -> Callable[[str, Any], Path]:
    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), "utf-8")
        return path

    return write


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Makes empty files: loaders look for videos but never open them."""

    def make(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make
