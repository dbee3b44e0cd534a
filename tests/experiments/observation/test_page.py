"""docs/observe.md: its commands run, and it names every file, column and figure there is."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from crossframe.experiments.command.cli import main
from crossframe.experiments.observation.figures import PLANS, WHERE

PAGE = (Path(__file__).parents[3] / "docs" / "observe.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    # Those of texts are run by tests/experiments/command/test_page_commands.py.
    if line.startswith("crossframe ") and ".txt" not in line
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 3
    assert all(command.startswith("crossframe observe ") for command in COMMANDS)


FIRST, *OTHERS = COMMANDS
LATER = [pytest.param(command, marks=pytest.mark.soak) for command in OTHERS]


@pytest.mark.parametrize("command", [FIRST, *LATER], ids=lambda command: command[:60])
def test_commands_run(
    command: str,
    checkpoint: Path,
    make_video: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a tiny model and short videos of those names; then the page's files are there."""
    arguments = shlex.split(command)[1:]
    arguments[arguments.index("--model") + 1] = str(checkpoint)
    monkeypatch.chdir(tmp_path)
    names = [argument for argument in arguments if argument.endswith(".mp4")]
    for name in names:
        (tmp_path / name).symlink_to(make_video(name, frames=6))
    assert main(arguments) == 0
    folder = tmp_path / "runs" / "observe"
    written = {path.name for path in folder.iterdir() if path.is_file()}
    for name in names:
        written -= {f"held-{Path(name).stem}.{ending}" for ending in ("html", "png")}
    assert not [name for name in written if f"`{name}`" not in PAGE]
    for table in ("rows", "recency"):
        columns = set(pd.read_parquet(folder / f"{table}.parquet").columns)
        about = {"video", "layer", "level", "frame"}
        assert not [name for name in columns - about if f"`{name}`" not in PAGE]


def test_every_figure_is_explained() -> None:
    assert not [plan.name for plan in PLANS if f"`{plan.name}`" not in PAGE]
    assert f"`{WHERE[0]}`" in PAGE


def test_no_column_is_explained_that_is_not_there(folder: Path) -> None:
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("rows", "recency")]
    columns = {column for table in tables for column in table.columns}
    measured = r"`((?:captured|recall|weighted_recall|retention|churn)(?:_\w+)?)`"
    named = set(re.findall(measured, PAGE)) - {plan.name for plan in PLANS}
    assert named <= columns
