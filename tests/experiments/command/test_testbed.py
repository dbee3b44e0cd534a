"""The command that writes folders of the testbed."""

from pathlib import Path

import pytest

from crossframe.experiments.benchmarks import MLVU
from crossframe.experiments.command.cli import main
from crossframe.experiments.testbed.folder import read_account

Output = pytest.CaptureFixture[str]
FEW = ["--clips", "3", "--frames", "16", "--scale", "1"]


def test_it_writes_what_is_asked_for(tmp_path: Path, capsys: Output) -> None:
    folder = tmp_path / "folder"
    words = ["testbed", str(folder), "--layout", "mlvu", "--part", "2", "--circular", *FEW]
    words += ["--tasks", "first", "needle:delay=2-9", "--scene", "[1,3]", "--background", "static"]
    assert main([*words, "--first-seed", "5"]) == 0
    assert capsys.readouterr().out == (
        f"Benchmark: {folder} (layout mlvu, account in testbed.json)\n"
    )
    account = read_account(folder)
    assert [clip["seed"] for clip in account["clips"]] == [5, 6, 7]
    assert account["options"]["part"] == 2
    assert account["setting"]["scene"] == [1, 3]
    assert account["setting"]["background"] == "static"
    kinds = {question.groups["task"] for question in MLVU(folder).questions()}
    assert kinds == {"first", "needle:delay=2-9"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layout", "egoschema"], "layout must be one of videomme, mlvu, ovobench"),
        (["--tasks", "frist"], "unknown task 'frist'; known are now"),
        (["--size", "33"], "size must be 32 to 128, by 4, got 33"),
        (["--every", "3"], "frames must be a multiple of every, 3, and at least that; got 16"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: Output
) -> None:
    assert main(["testbed", str(tmp_path / "folder"), *FEW, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("crossframe testbed: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "file").touch()
    assert main(["testbed", str(tmp_path), *FEW]) == 2
    assert "is in use: give a folder that does not exist yet" in capsys.readouterr().err
