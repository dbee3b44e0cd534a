"""A fixture benchmark, a tiny checkpoint, and a small study of both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.ablation.dry_run import DryRun, shown_again
from crossframe.experiments.ablation.options import AblateOptions
from crossframe.experiments.ablation.run import ablate
from crossframe.experiments.ablation.tidy import Study
from crossframe.experiments.benchmarks import VideoMME
from crossframe.experiments.publishing.small_benchmarks import write_clip, write_videomme
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.methods import IsolatedFramesMemory, SlidingWindowMemory, StateKVMemory
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl

MakeOptions = Callable[..., AblateOptions]

FRAME = 19  # tokens: 16 visual ones and 3 markers


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> VideoMME:
    """Two questions about each of two videos, of 24 and 12 frames at 4 frames a second."""
    folder = tmp_path_factory.mktemp("videomme")
    write_videomme(folder)
    write_clip(folder / "data/clip2.mp4", ("Blue", "Red"), seconds=3)
    return VideoMME(folder)


@pytest.fixture(scope="session")
def make_options(benchmark: VideoMME, checkpoint: Path) -> MakeOptions:
    """Options of a small study; anything can be given instead."""

    def make(output: Path = Path("study"), **changes: Any) -> AblateOptions:
        settings: dict[str, Any] = {
            "models": {"tiny": ModelOptions(str(checkpoint), layout="video_first")},
            "benchmark": benchmark,
            "output": output,
            "memories": {"statekv": StateKVMemory(None)},
            "sampling": FrameSampling(4.0, 512),
            "max_new_tokens": 2,
            "trainer": {"accelerator": "cpu", "logger": False},
        }
        return AblateOptions(**(settings | changes))

    return make


@pytest.fixture(scope="session")
def options(make_options: MakeOptions, tmp_path_factory: pytest.TempPathFactory) -> AblateOptions:
    """Of the study below."""
    return make_options(
        tmp_path_factory.mktemp("study"),
        memories={"statekv": StateKVMemory(None), "window": SlidingWindowMemory(None)},
        fixed={"isolated": IsolatedFramesMemory(), "all of it": StateKVMemory(4096)},
        capacities=(14, 28),
        windows=(2, 4),
        note="Only a test <of> it.",
    )


@pytest.fixture(scope="session")
def study(options: AblateOptions) -> Study:
    """A study that was run, its page written."""
    found = ablate(options)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def dry_run() -> DryRun:
    """Of a model of three layers and four KV heads, over noise."""
    parts = tiny_internvl(image_size=112, heads=8, kv_heads=4, layers=3)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (8, 48, 64, 3), generator=generator, dtype=torch.uint8)
    model = InternVL3(*parts, layout="video_first")
    frames = [(image, float(number)) for number, image in enumerate(pictures)]
    return DryRun(model, shown_again(model, frames))
