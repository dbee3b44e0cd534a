"""How commands start: nothing large is loaded before it is needed, an interrupt is one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import crossframe

# The first three take seconds each.
LARGE = {"torch", "transformers", "torchvision", "lightning", "numpy", "pandas", "matplotlib", "av"}
PROGRAM = """\
import json, sys
from crossframe.experiments.command.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def started(*words: str) -> tuple[int, set[str], str]:
    """Status, top-level modules loaded, and all that a command said."""
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *said, last = done.stdout.splitlines()
    code, modules = json.loads(last)
    return code, set(modules), "\n".join([*said, done.stderr])


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--help"], 0, "evaluate"),
        (["--version"], 0, f"crossframe {crossframe.__version__}"),
        (["frobnicate"], 2, "frobnicate"),
        (["ask", "gone.mp4", "Who?", "--model", "m"], 2, "gone.mp4: no such file"),
        (["observe", "gone.mp4", "--model", "m"], 2, "gone.mp4: no such file"),
        (["evaluate", "--config", "gone.yaml"], 2, "gone.yaml: no such file"),
        (["evidence", "--preset", "gone"], 2, "no preset of evidence is called 'gone'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_missing_files_are_told_before_anything_large_is_loaded(
    words: list[str], status: int, told: str
) -> None:
    code, loaded, said = started(*words)
    assert code == status, said
    assert told in said
    assert not loaded & LARGE


def test_a_plain_install_tells_its_version() -> None:
    code, loaded, said = started("--version")
    assert (code, said.strip()) == (0, f"crossframe {crossframe.__version__}")
    assert "jsonargparse" not in loaded


def test_a_wrong_memory_is_told_before_transformers_is_loaded(video: Path) -> None:
    code, loaded, said = started("ask", str(video), "Who?", "--model", "m", "--memory", "statkv")
    assert code == 2
    assert "statkv" in said
    assert not loaded & {"transformers", "lightning", "pandas", "matplotlib"}


def test_the_check_of_what_is_loaded_can_fail(video: Path) -> None:
    _, loaded, _ = started("ask", str(video), "Who?", "--model", "m", "--memory", "statkv")
    assert "torch" in loaded & LARGE


def test_python_m_crossframe_is_the_command() -> None:
    command = [sys.executable, "-m", "crossframe", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"crossframe {crossframe.__version__}\n"


LATER = [pytest.param(after, marks=pytest.mark.soak) for after in (0.1, 2.0, 5.0)]


@pytest.mark.parametrize("after", [0.5, *LATER])
def test_an_interrupt_while_starting_is_one_line(
    after: float, video: Path, checkpoint: Path
) -> None:
    ready = "print('ready', flush=True); from crossframe.experiments.command.cli import main; "
    # A shell lets what it starts in the background ignore interrupts.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = f"import sys; {heard}{ready} sys.exit(main(sys.argv[1:]))"
    words = ["ask", str(video), "Who?", "--model", str(checkpoint), "--max-new-tokens", "1000"]
    command = [sys.executable, "-c", program, *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    if process.returncode != 0:  # it may have been done already
        assert process.returncode == 130, error
        assert "Traceback" not in error
        assert error.splitlines()[-1] == "crossframe ask: interrupted"
