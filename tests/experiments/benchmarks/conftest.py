"""A folder for published layouts, and the small benchmarks, written once a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.experiments.publishing.small_benchmarks import FIXTURES, write_mlvu_original

from .files import Files


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
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
