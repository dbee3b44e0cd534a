"""What configurations get wrong about classes is told with what may have been meant."""

from pathlib import Path

import pytest

from crossframe.experiments.command.cli import main
from crossframe.experiments.command.config_parser import known_classes

CONFIG = """\
model: {model: x}
benchmark: {class_path: BENCHMARK, init_args: {root: x}}
cells: {one: {memory: {class_path: MEMORY}}}
output: runs
"""


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], memory: str, benchmark: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("MEMORY", memory).replace("BENCHMARK", benchmark), "utf-8")
    with pytest.raises(SystemExit):
        main(["evaluate", "--config", str(path)])
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("memory", "benchmark", "remedy"),
    [
        (
            "FullMemry",
            "VideoMME",
            "No class of crossframe is called FullMemry; did you mean FullMemory? A class of your "
            "own is named by its path, such as my_package.FullMemry.",
        ),
        ("FullMemory", "VideoMM", "called VideoMM; did you mean VideoMME?"),
        ("Zzz", "VideoMME", "No class of crossframe is called Zzz. A class of your own"),
        ("Int8Archive", "VideoMME", "Int8Archive is the name of an archive, which cannot stand"),
    ],
)
def test_an_unknown_class_is_told_once_with_what_may_be_meant(
    memory: str,
    benchmark: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(tmp_path, capsys, memory, benchmark).count(remedy) == 1


def test_other_errors_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = told(tmp_path, capsys, "FullMemory, init_args: {capacity: 3}", "VideoMME")
    assert "Option 'capacity' is not accepted" in wrong
    assert "No class of crossframe" not in wrong


def test_all_kinds_of_classes_are_known() -> None:
    known = known_classes()
    assert known["StateKVMemory"] == known["ProtectedSinks"] == "a memory"
    assert known["ReKVReader"] == "a reader"
    assert known["DiskArchive"] == "an archive"
    assert known["OVOBench"] == "a benchmark"
