"""What docs/testbed.md shows is run: its commands write folders, its configuration scores one."""

import json
import re
import shlex
from pathlib import Path

import pytest

from crossframe.experiments.benchmarks import BENCHMARKS, OVOBench
from crossframe.experiments.command.cli import main
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.experiments.testbed.folder import read_account

PAGE = (Path(__file__).parents[3] / "docs" / "testbed.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = FENCE.findall(PAGE)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
(CONFIG,) = (text for kind, text in BLOCKS if kind == "yaml")
FEW = ["--clips", "4", "--scale", "1"]


def written(command: str) -> Path:
    """Run a command of the page on a few clips; its folder."""
    words = shlex.split(command)
    assert words[:2] == ["crossframe", "testbed"]
    assert main([*words[1:], *FEW]) == 0
    return Path(words[2])


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS[:-1])
def test_commands_write_what_the_readers_read(command: str) -> None:
    folder = written(command)
    account = read_account(folder)
    benchmark = BENCHMARKS[account["options"]["layout"]](folder)
    assert len(benchmark.questions()) == len(account["questions"]) > 4


def test_the_configuration_scores_a_folder(tmp_path: Path) -> None:
    """Every question is asked after exactly the frames up to its own."""
    folder = written(COMMANDS[1])
    save_tiny_checkpoint(tmp_path / "checkpoint")
    Path("testbed.yaml").write_text(CONFIG)
    assert main(shlex.split(COMMANDS[-1])[1:]) == 0
    frames = {asked["id"]: asked["frame"] + 1 for asked in read_account(folder)["questions"]}
    rows = read_rows(tmp_path / "runs" / "scores")
    assert {row["question"] for row in rows} == set(frames)
    assert all(row["frames"] == frames[row["question"]] for row in rows)
    assert {row["status"] for row in rows} <= {"answered", "invalid"}
    summary = json.loads(Path("runs/scores/summary.json").read_text())
    kinds = {f"kind/{kind}" for kind in ("now", "recall", "left", "swaps")}
    assert kinds <= set(summary["cells"]["statekv"]["scores"])
    assert OVOBench(folder, "question").max_new_tokens == 8
