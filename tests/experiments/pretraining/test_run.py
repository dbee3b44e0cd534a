"""Training: that it learns, is the same every time, and goes on bit for bit after a kill."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.pretraining.options import PretrainOptions
from crossframe.experiments.pretraining.run import train
from crossframe.experiments.testbed import SynthCourse

SHORT: dict[str, Any] = {
    "family": "qwen3_vl",
    "max_frames": 8,
    "steps": 7,
    "vision_steps": 5,
    "frames_per_step": 16,
    "stills": 8,
    "questions": 4,
    "keep_every": 2,
}
COURSE = SynthCourse(every=2)
# A course that kills the process when it is asked for its n-th still or lesson.
KILLED = """
import os, signal, sys
from itertools import count
from pathlib import Path
from crossframe.experiments.pretraining.options import PretrainOptions
from crossframe.experiments.pretraining.run import train
from crossframe.experiments.testbed import SynthCourse

asked, fatal = count(1), sys.argv[2:]

class Deadly(SynthCourse):
    def stills(self, seed, number):
        self.count("stills")
        return super().stills(seed, number)
    def lesson(self, seed, frames):
        self.count("lesson")
        return super().lesson(seed, frames)
    def count(self, what):
        if what == fatal[0] and next(asked) == int(fatal[1]):
            os.kill(os.getpid(), signal.SIGKILL)

Deadly.__qualname__ = "SynthCourse"  # by which the folder knows it
train(PretrainOptions(output=Path(sys.argv[1]), **SHORT), Deadly(every=2))
"""


def options(folder: Path, **changed: Any) -> PretrainOptions:
    return PretrainOptions(output=folder, **{**SHORT, **changed})


def curve(folder: Path, part: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{part}.csv").read_text("utf-8").splitlines()))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train(options(folder), COURSE)
    return folder


LATER = [pytest.param(*where, marks=pytest.mark.soak) for where in (("stills", 4), ("lesson", 20))]


@pytest.mark.parametrize(("what", "call"), [("lesson", 9), *LATER])
def test_a_killed_run_goes_on_bit_for_bit(
    whole: Path, tmp_path: Path, what: str, call: int
) -> None:
    script = KILLED.replace("SHORT", repr(SHORT))
    command = [sys.executable, "-c", script, str(tmp_path), what, str(call)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (tmp_path / "model.safetensors").exists()
    kept = list((tmp_path / "parts").glob("*.ckpt"))
    assert kept, "nothing to go on from"
    train(options(tmp_path), COURSE)
    assert weights(tmp_path) == weights(whole)
    for name in ("vision.csv", "decoder.csv"):
        assert (tmp_path / name).read_text() == (whole / name).read_text()


def test_processor_time_goes_on_where_it_was(whole: Path, tmp_path: Path) -> None:
    minutes = json.loads((whole / "minutes.json").read_text("utf-8"))
    assert set(minutes) == {"vision", "decoder"}
    assert all(0 < spent < 2 for spent in minutes.values())
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    train(options(tmp_path), COURSE)
    assert json.loads((tmp_path / "minutes.json").read_text("utf-8")) == minutes


def test_a_finished_run_changes_nothing(whole: Path) -> None:
    before = weights(whole)
    train(options(whole), COURSE)
    assert weights(whole) == before


def test_kinds_differ_in_what_is_told_inside_the_stream(whole: Path, tmp_path: Path) -> None:
    train(options(tmp_path, kind="questions"), COURSE)
    told, asked = (curve(folder, "decoder")[0].keys() for folder in (whole, tmp_path))
    running = {f"running {task}" for task in ("colour", "shape", "recall", "before_last")}
    assert running & told >= {"running colour", "running shape"}
    assert not running & asked
    assert weights(tmp_path) != weights(whole)


def test_other_settings_are_refused_in_a_begun_folder(whole: Path) -> None:
    with pytest.raises(ValueError, match=r"begun with other settings \(steps was 7, is 9\): give"):
        train(options(whole, steps=9), COURSE)


def test_another_course_is_refused_in_a_begun_folder(whole: Path) -> None:
    with pytest.raises(ValueError, match=r'other settings \(course was "SynthCourse\(.*every=2'):
        train(options(whole), SynthCourse(every=4))


def test_curves_are_drawn(whole: Path) -> None:
    for name in ("vision.png", "decoder.png"):
        assert (whole / name).read_bytes().startswith(b"\x89PNG")
    rows = curve(whole, "decoder")
    assert [row["step"] for row in rows] == ["0", "6"]
    assert all(float(row["loss"]) > 0 for row in rows)


@pytest.mark.parametrize("family", ["internvl3", "qwen3_vl", "eagle2_5"])
def test_every_family_learns_what_frames_show(family: str, tmp_path: Path) -> None:
    chosen = options(
        tmp_path, family=family, vision_steps=60, stills=64, steps=1, vision_learning_rate=3e-3
    )
    train(chosen, COURSE)
    rows = curve(tmp_path, "vision")
    assert float(rows[-1]["loss"]) < 0.75 * float(rows[0]["loss"])
    assert float(rows[-1]["colour"]) > 0.5
