"""A benchmark run killed twenty times at random moments: nothing lost, nothing repeated.

Left out of `make test`; run with `make soak`, which prints what the kills hit.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from crossframe.experiments.publishing.small_benchmarks import write_mlvu_original
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint

KILLS = 20
OF_ONE_RUN = ("_ms", "run", "checksum")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
CONFIG = """
model: {{model: {checkpoint}, dtype: float32}}
benchmark:
  class_path: crossframe.experiments.benchmarks.MLVU
  init_args: {{root: {root}}}
cells:
  full: {{memory: {{class_path: crossframe.methods.FullMemory}}}}
  statekv:
    memory: {{class_path: crossframe.methods.StateKVMemory, init_args: {{capacity: 12}}}}
    frames_per_step: 3
  window:
    memory: {{class_path: crossframe.methods.SlidingWindowMemory, init_args: {{frames: 2}}}}
reference: full
sampling: {{fps: 4, rule: start}}
output: {output}
trainer: {{accelerator: cpu}}
"""


def command(config: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("crossframe")), "evaluate", "--config", str(config)]


def lines(folder: Path) -> list[str]:
    file = folder / "rows-0.jsonl"
    return file.read_text().splitlines() if file.is_file() else []


def untimed(folder: Path) -> list[dict[str, Any]]:
    """Straight from the file: a repeated row would show. Without the marks of the one run."""
    rows = [
        {name: value for name, value in json.loads(line).items() if not name.endswith(OF_ONE_RUN)}
        for line in lines(folder)
    ]
    return sorted(rows, key=lambda row: (row["cell"], row["question"]))


def killed(config: Path, folder: Path, seconds: float | None) -> bool:
    """Start the command and kill it after so many seconds, or (None) soon after its next rows;
    False if it had ended before."""
    had, begun = len(lines(folder)), monotonic()
    with subprocess.Popen(command(config), env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            rows_came = seconds is None and len(lines(folder)) > had
            if rows_came:
                sleep(random.uniform(0, 0.3))
            if rows_came or (seconds is not None and monotonic() - begun > seconds):
                process.send_signal(signal.SIGKILL)
                return process.wait() == -signal.SIGKILL
            sleep(0.002)
        assert process.returncode == 0
        return False


@pytest.mark.soak
def test_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    write_mlvu_original(tmp_path / "mlvu")
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint")

    def configured(name: str) -> tuple[Path, Path]:
        config, folder = tmp_path / f"{name}.yaml", tmp_path / name
        places = {"checkpoint": checkpoint, "root": tmp_path / "mlvu", "output": folder}
        config.write_text(CONFIG.format(**places))
        return config, folder

    config, folder = configured("undisturbed")
    begun = monotonic()
    subprocess.run(command(config), env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    whole, expected = monotonic() - begun, untimed(folder)
    assert len(expected) == 3 * 14
    hits: list[int] = []
    runs = 0
    while len(hits) < KILLS:
        config, folder = configured(f"run{runs}")
        runs += 1
        while len(hits) < KILLS:
            seconds = random.uniform(0, whole) if len(hits) % 2 else None
            if not killed(config, folder, seconds):
                break
            hits.append(len(lines(folder)))
        subprocess.run(command(config), env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
        assert untimed(folder) == expected
    print(f"\n{KILLS} kills in {runs} runs of {len(expected)} rows, at {hits} rows")
