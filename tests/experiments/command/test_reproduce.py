"""Every command of docs/reproduce.md, on tiny checkpoints and fixture benchmarks."""

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jsonargparse import auto_cli

from crossframe.experiments.command.cli import main
from crossframe.experiments.publishing import ablate_demo as ablation_demo
from crossframe.experiments.publishing import bench, paper_cost
from crossframe.experiments.publishing.small_benchmarks import FIXTURES, write_clip
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint

from ...models.eagle2_5.layout import save_official_eagle2_5

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/reproduce.md").read_text("utf-8")
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in FENCE.findall(PAGE) for line in block.splitlines()]
CONFIGS = sorted((ROOT / "experiments/configs").glob("*.yaml"))
EVIDENCE = (ROOT / "docs/evidence.md").read_text("utf-8")
FOLDERS = {"Video-MME": "videomme", "MLVU": "mlvu", "OVO-Bench": "ovobench"}

SMALL = ["--max-new-tokens", "2", "--trainer", '{"accelerator": "cpu", "logger": false}']

Places = SimpleNamespace


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Benchmarks in a folder for /data, and a tiny checkpoint of every family."""
    data, checkpoints = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("checkpoints")
    for folder, name in FOLDERS.items():
        FIXTURES[name](data / folder)
    save_tiny_checkpoint(checkpoints / "InternVL3")
    save_tiny_checkpoint(checkpoints / "Qwen3-VL", "qwen3_vl")
    save_official_eagle2_5(checkpoints / "Eagle2_5")
    return Places(data=data, checkpoints=checkpoints)


def argv(command: str, places: Places) -> list[str]:
    """The words of a command as a shell would make them, paths replaced."""
    command = command.replace("experiments/configs/", f"{ROOT}/experiments/configs/")
    command = command.replace("/data/", f"{places.data}/")
    command = command.replace("OpenGVLab/InternVL3-1B-hf", str(places.checkpoints / "InternVL3"))
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True
    )
    return words.stdout.rstrip("\0").split("\0")


def tiny_models(config: Path, places: Places) -> list[str]:
    """Options that put a tiny checkpoint in the place of every model of a config."""
    options = []
    for name in yaml.safe_load(config.read_text("utf-8"))["models"]:
        family = name.rsplit("-", 1)[0]
        options += [f"--models.{name}.model", str(places.checkpoints / family)]
    return options


def run_ablate(words: list[str], places: Places) -> Path:
    """Runs it; where its page is."""
    config = Path(words[words.index("--config") + 1])
    settings = yaml.safe_load(config.read_text("utf-8"))
    output = words[words.index("--output") + 1] if "--output" in words else settings["output"]
    one = ["--limit", "1"]  # question, of which there are a few in the fixtures
    assert main([*words, *tiny_models(config, places), *SMALL, *one]) == 0
    return Path(output) / "ablation.html"


def test_every_kind_of_command_is_known() -> None:
    assert len(COMMANDS) == 13
    first = {shlex.split(command)[0] for command in COMMANDS}
    assert first == {"crossframe", "python", "make"}


ALWAYS = "--budget.match bytes"  # is run every time, all others by `make soak`


def as_parameter(command: str) -> object:
    return pytest.param(command, marks=[] if ALWAYS in command else [pytest.mark.soak])


@pytest.mark.parametrize("command", [as_parameter(one) for one in COMMANDS if " ablate " in one])
def test_ablate(
    command: str, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = run_ablate(argv(command, places)[1:], places).read_text("utf-8")
    assert page.count("<figure") >= 2
    assert 'id="results"' in page


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_in_a_command(config: Path) -> None:
    if config.name.startswith("evidence_"):
        assert f"`{config.name}`" in EVIDENCE
        return
    assert any(config.name in command for command in COMMANDS)


def test_observe(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (command,) = [one for one in COMMANDS if " observe " in one]
    words = argv(command, places)[1:]
    videos = [Path(word) for word in words if word.endswith(".mp4")]
    assert len(videos) == 16
    write_clip(videos[0], ("Red", "Blue"), seconds=2)
    for video in videos[1:]:
        video.symlink_to(videos[0])
    few = ["--frames", "5", "--capacities", "1", "4", "16"]
    left_out = {str(video) for video in videos[2:]}  # they take as long as these two
    assert main([word for word in [*words, *few] if word not in left_out]) == 0
    assert (tmp_path / "runs/evidence-1B/observe.html").is_file()


@pytest.mark.parametrize(
    ("module", "run"), [("paper_cost", paper_cost.main), ("bench", bench.main)]
)
def test_modules(module: str, run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = [one for one in COMMANDS if f"publishing.{module}" in one]
    words = shlex.split(command)[3:]
    few = ["--frames", "4", "--repeats", "1"] if module == "bench" else []
    auto_cli(run, as_positional=False, args=[*words, *few])
    assert "statekv" in capsys.readouterr().out.lower()


def test_the_demo_is_what_make_runs(tmp_path: Path) -> None:
    assert "make ablate-demo" in COMMANDS
    recipe = (ROOT / "Makefile").read_text("utf-8").split("\nablate-demo: setup\n")[1]
    assert recipe.startswith(f"\t$(BIN)/python -m {ablation_demo.__name__}\n")
