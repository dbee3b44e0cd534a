"""The real command in processes of its own: killed, in two processes, without a network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import yaml

from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.framework.as_data import plain

from .conftest import MakeOptions, untimed

# One thread, as in the process that tests run in: sums of floats depend on their number.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# At 1.5 frames a second the middles of equal parts are no prefixes of each other.
SIX_PASSES = FrameSampling(1.5)
COMMAND = [str(Path(sys.executable).with_name("crossframe")), "evaluate", "--config"]
# Some runs by the same processes: two that Lightning starts take 20 s of processor time to import
# what they need.
SEVERAL = """
import sys
from crossframe.experiments.command.cli import main
sys.exit(max(main(["evaluate", "--config", config]) for config in sys.argv[1:]))
"""
# Counts whoever asks for the network, and lets nobody have it.
WITHOUT_NETWORK = """
import os, socket, sys
os.environ.pop("HF_HUB_OFFLINE", None)
tried = []
def refuse(*arguments, **options):
    tried.append(arguments)
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
socket.create_connection = refuse
from crossframe.experiments.command.cli import main
code = main(["evaluate", "--config", sys.argv[1]])
print("tried", len(tried))
sys.exit(code)
"""
LOADED_BY_HELP = """
import sys
from crossframe.experiments.command.cli import main
for command in (["--help"], ["ablate", "--help"], ["evaluate", "--help"]):
    try:
        main(command)
    except SystemExit as end:
        assert end.code == 0
heavy = {"lightning", "pytorch_lightning", "torchmetrics", "pandas", "pyarrow", "matplotlib"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def config_file(options: EvaluateOptions) -> Path:
    """The options as a user writes them, beside the run's folder."""
    settings = {name: _as_written(value) for name, value in vars(options).items()}
    path = options.output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(settings))
    return path


def _as_written(value: Any) -> Any:
    """Classes that the parser knows by their place need no path."""
    written = plain(value)
    if type(value) in (type(None), bool, int, float, str):
        return value
    known = isinstance(value, FrameSampling) or type(value).__name__ == "ModelOptions"
    return written["init_args"] if known else written


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)


def without_last_pass(file: Path) -> None:
    """Take the rows of the pass that was written last out of a file of rows."""
    lines = file.read_text().splitlines(keepends=True)
    last = json.loads(lines[-1])["pass"]
    file.write_text("".join(line for line in lines if json.loads(line)["pass"] != last))


def killed_in_the_middle(config: Path, folder: Path) -> int:
    """Start the command and kill it as soon as rows are on the disk; how many there were."""
    with subprocess.Popen([*COMMAND, str(config)], env=ENVIRONMENT, stdout=subprocess.PIPE) as it:
        file, deadline = folder / "rows-0.jsonl", monotonic() + 120
        while not (file.is_file() and file.stat().st_size) and monotonic() < deadline:
            sleep(0.002)
        it.send_signal(signal.SIGKILL)
    return len(read_rows(folder))


@pytest.mark.soak
def test_a_run_killed_in_the_middle_is_finished_as_if_nothing_had_happened(
    options: MakeOptions,
) -> None:
    settings = {"sampling": SIX_PASSES, "reference": "full", "max_new_tokens": 16}
    undisturbed = options(**settings)
    expected = evaluate(undisturbed)
    chosen = options(**settings, output=undisturbed.output.with_name("killed"))
    config = config_file(chosen)
    before = killed_in_the_middle(config, chosen.output)
    assert 0 < before < 18
    told = run(*COMMAND, config)
    assert untimed(chosen.output) == untimed(undisturbed.output)
    lines = (chosen.output / "rows-0.jsonl").read_text().splitlines()
    assert len(lines) == 18
    assert "UNFINISHED" not in told.stdout
    found = json.loads((chosen.output / "summary.json").read_text())
    assert expected is not None
    assert found["cells"]["full"]["scores"] == expected["cells"]["full"]["scores"]
    assert (found["passes"], found["owed"]) == (expected["passes"], 0) == (6, 0)


def test_two_processes_write_what_one_does_and_take_over_from_each_other(
    options: MakeOptions,
) -> None:
    settings = {"sampling": SIX_PASSES, "reference": "statekv"}
    alone = options(**settings)
    expected = evaluate(alone)
    assert expected is not None
    two = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
    chosen = options(**settings, trainer=two, output=alone.output.with_name("two"))
    # One process left a pass: fewer than there are processes to go on with.
    left = options(**settings, trainer=two, output=alone.output.with_name("left"))
    shutil.copytree(alone.output, left.output)
    without_last_pass(left.output / "rows-0.jsonl")
    script = alone.output.with_name("several.py")
    script.write_text(SEVERAL)
    told = run(sys.executable, script, config_file(chosen), config_file(left))
    # Only the first process tells, and Lightning keeps its tips to itself.
    assert told.stdout.count("Rows and all scores") == 2
    assert told.stderr == ""
    files = [chosen.output / f"rows-{rank}.jsonl" for rank in range(2)]
    assert all(file.read_text() for file in files)

    def require_finished(folder: Path) -> None:
        assert untimed(folder) == untimed(alone.output)
        lines = [file.read_text().splitlines() for file in folder.glob("rows-*.jsonl")]
        assert sum(map(len, lines)) == 18
        summary = json.loads((folder / "summary.json").read_text())
        assert _untimed_summary(summary) == _untimed_summary(expected)

    require_finished(chosen.output)
    require_finished(left.output)
    # One process goes on for two.
    without_last_pass(files[1])
    evaluate(options(**settings, output=chosen.output))
    require_finished(chosen.output)


def _untimed_summary(summary: Any) -> Any:
    cells = {
        name: {k: v for k, v in cell.items() if not k.endswith("_ms")}
        for name, cell in summary["cells"].items()
    }
    return {**summary, "cells": cells}


def test_nothing_asks_for_the_network_where_files_are_local(options: MakeOptions) -> None:
    config = config_file(options(limit=1))
    command = [sys.executable, "-c", WITHOUT_NETWORK, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tried 0"


def test_help_is_given_without_loading_the_laboratory() -> None:
    command = [sys.executable, "-c", LOADED_BY_HELP]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--config" in done.stdout and "--capacities" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
