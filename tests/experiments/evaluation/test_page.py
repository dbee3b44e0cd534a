"""What docs/evaluate.md shows is run: its configuration and every command, on fixtures."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crossframe.experiments.command.cli import main
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.evaluation.trainer import NOT_HERE

from .conftest import Folder, untimed

PAGE = Path(__file__).parents[3] / "docs" / "evaluate.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(kind, text) for kind, text in FENCE.findall(PAGE.read_text("utf-8"))]
COMMANDS = [text for kind, text in BLOCKS if kind == "bash"]
SETTINGS = [text for kind, text in BLOCKS if kind == "yaml"]
# Starts the processes that SLURM would start, on this machine.
SRUN = """#!/bin/bash
export SLURM_NTASKS=2 SLURM_NNODES=2 SLURM_NTASKS_PER_NODE=1 SLURM_JOB_ID=4242 SLURM_JOB_NAME=run
export SLURM_NODELIST=127.0.0.1 SLURM_LOCALID=0 MASTER_PORT=$(( 20000 + RANDOM % 20000 ))
SLURM_PROCID=1 SLURM_NODEID=1 "$@" &
SLURM_PROCID=0 SLURM_NODEID=0 "$@" && wait $!
"""


@pytest.fixture
def place(tmp_path: Path, built: Folder, tiny: Folder) -> Path:
    """A folder where the names on the page stand for fixtures."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Video-MME").symlink_to(built("videomme"))
    (tmp_path / "OpenGVLab").mkdir()
    (tmp_path / "OpenGVLab" / "InternVL3-1B-hf").symlink_to(tiny("internvl3"))
    (config,) = (text for text in SETTINGS if text.startswith("# run.yaml"))
    (tmp_path / "run.yaml").write_text(config)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text(SRUN)
    (programs / "srun").chmod(0o755)
    return tmp_path


def run_here(block: str) -> None:
    """The lines of a block, each a `crossframe` command, in this process."""
    for line in block.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "crossframe"
        assert main(arguments) == 0


def run_apart(block: str, place: Path) -> None:
    """A block as a script, in a shell."""
    path = os.pathsep.join(
        [str(place / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", block],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Rows and all scores") == 1


@pytest.mark.soak
def test_the_pages_commands_one_after_another(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    alone, apart = ([text for text in COMMANDS if (text[:19] == "crossframe evaluate") == here]
                    for here in (True, False))  # fmt: skip
    assert (len(alone), len(apart)) == (2, 2)
    for block in alone:
        run_here(block)
    assert len(read_rows(place / "runs/try")) == 3 * 2
    assert len(read_rows(place / "runs/videomme")) == 3 * 4
    for block in apart:
        run_apart(block, place)
    for name in ("torchrun", "slurm"):
        files = list((place / "runs" / name).glob("rows-*.jsonl"))
        assert len(files) == 2
        assert all(file.stat().st_size for file in files)
        assert untimed(place / "runs" / name) == untimed(place / "runs/videomme")


def test_the_pages_other_settings_are_trainers(place: Path) -> None:
    more = [yaml.safe_load(text)["trainer"] for text in SETTINGS if text.startswith("trainer")]
    assert more[0] == {"accelerator": "gpu", "devices": 8}
    loggers = [settings["logger"]["class_path"] for settings in more[1:]]
    assert loggers == ["TensorBoardLogger", "WandbLogger"]
    assert not any(settings.keys() & NOT_HERE.keys() for settings in more)


def test_the_page_names_every_field_of_a_row(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossframe.experiments.evaluation import rows

    monkeypatch.chdir(place)
    run_here("crossframe evaluate --config run.yaml --limit 1 --max-new-tokens 2")
    (row, *_) = read_rows(place / "runs/videomme")
    told = {*re.findall(r"`(\w+)`", rows.__doc__ or "")}
    assert row.keys() <= told
    costs = PAGE.read_text("utf-8").partition("## What costs count")[2]
    assert {"frames", "tokens", *(name for name in row if name.endswith(("_ms", "_bytes")))} <= {
        *re.findall(r"`(\w+)`", costs)
    }
    assert {"questions", "cells"} <= json.loads(
        Path("runs/videomme/summary.json").read_text()
    ).keys()
