"""`crossframe ablate` on the command line."""

from pathlib import Path

import pytest

from crossframe.experiments.benchmarks import VideoMME
from crossframe.experiments.command.cli import main

CONFIG = """\
models:
  tiny: {{model: {checkpoint}, layout: video_first}}
benchmark: {{class_path: VideoMME, init_args: {{root: {root}}}}}
output: {output}
memories:
  statekv: {{class_path: StateKVMemory, init_args: {{capacity: null}}}}
wrappers:
  bare: null
  sinks: {{class_path: ProtectedSinks, init_args: {{tokens: 4}}}}
capacities: [14]
max_new_tokens: 2
trainer: {{accelerator: cpu, logger: false}}
"""

Output = pytest.CaptureFixture[str]


@pytest.fixture
def config(benchmark: VideoMME, checkpoint: Path, tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    settings = {"root": benchmark.root, "checkpoint": checkpoint, "output": tmp_path / "study"}
    path.write_text(CONFIG.format(**settings), "utf-8")
    return path


def test_a_config_becomes_a_page(config: Path, tmp_path: Path, capsys: Output) -> None:
    assert main(["ablate", "--config", str(config), "--sampling.fps", "4"]) == 0
    told = capsys.readouterr()
    assert told.out == f"Report: {tmp_path / 'study/ablation.html'}\n"
    assert "tiny (1 of 1): 3 cells" in told.err
    page = (tmp_path / "study/ablation.html").read_text("utf-8")
    assert "<td>statekv+sinks 14</td>" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--capacities", "[2]"], "statekv+sinks 2 cannot have capacity=2: ProtectedSinks: 4 prot"),
        (["--reference", "exact"], "reference 'exact' is no cell; cells are statekv 14,"),
        (["--only", "huge"], "only names 'huge', but models are tiny"),
        (["--benchmark.root", "nowhere"], "nowhere holds none of videomme/test"),
    ],
)
def test_mistakes_are_told_in_one_line(
    config: Path, capsys: Output, options: list[str], message: str
) -> None:
    assert main(["ablate", "--config", str(config), *options]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("crossframe ablate: error: ")
    assert message in told


def test_unknown_classes_and_options_are_refused(config: Path, capsys: Output) -> None:
    for wrong in ("StateKVMemory|NoSuchMemory", "capacities:|capacity:"):
        text = config.read_text("utf-8")
        right, mistaken = wrong.split("|")
        config.write_text(text.replace(right, mistaken), "utf-8")
        with pytest.raises(SystemExit):
            main(["ablate", "--config", str(config)])
        told = capsys.readouterr().err
        assert mistaken.rstrip(":") in told
        config.write_text(text, "utf-8")
