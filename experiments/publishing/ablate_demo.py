"""`make ablate-demo`: a whole study in a minute or two, on a tiny untrained model.

`python -m crossframe.experiments.publishing.ablate_demo` writes a small streaming benchmark in
OVO-Bench's layout and an untrained checkpoint below its output folder, then runs the study like any
other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli
from rich.console import Console

from ...methods import (
    H2OMemory,
    IsolatedFramesMemory,
    KeyDiffMemory,
    RandomMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TOVAMemory,
)
from ...models.tiny import tiny_internvl
from ..ablation.options import AblateOptions, Budget
from ..ablation.report import PAGE
from ..ablation.run import ablate
from ..benchmarks import OVOBench
from ..streaming.environment import one_thread
from ..streaming.options import ModelOptions
from ..streaming.sampling import FrameSampling
from .small_benchmarks import COLOURS, write_clip
from .tiny_checkpoints import save_parts

NOTE = (
    "A demonstration: the model is tiny and untrained (random weights), the videos are coloured "
    "squares, so accuracies are accidents and mean NOTHING. KL, agreement, bytes, FLOPs and "
    "milliseconds are measured on real runs of that tiny model and say little about a trained one."
)
SECONDS = (12, 24, 48)  # of the videos
CAPACITIES = (57, 114, 228, 456)  # 3, 6, 12 and 24 frames
FPS = 3.0
LOUDNESS = 3.0  # of letters


def write_benchmark(folder: Path) -> None:
    """Three videos in OVO-Bench's layout, asked at several moments, some of them about the past."""
    items: list[dict[str, Any]] = []
    names = list(COLOURS)
    for number, seconds in enumerate(SECONDS):
        shown = [names[(number + step) % len(names)] for step in range(6)]
        video = f"demo/clip{number}.mp4"
        write_clip(folder / "src_videos" / video, shown, seconds=seconds)
        items += _items(video, seconds, shown)
    numbered = [{"id": number, **item} for number, item in enumerate(items)]
    (folder / "ovo_bench_new.json").write_text(json.dumps(numbered), "utf-8")


def _items(video: str, seconds: int, shown: Sequence[str]) -> Iterator[dict[str, Any]]:
    options = sorted(set(shown))
    for moment in (seconds // 3, seconds - 1):
        now = shown[int(moment * len(shown) / seconds)]
        about = {"video": video, "options": options, "realtime": moment}
        asked = {"question": "Which colour is shown now?", "gt": options.index(now)}
        yield {"task": "ACR", **about, **asked, "answer": now}
        past = {"question": "Which colour came first?", "gt": options.index(shown[0])}
        yield {"task": "EPM", **about, **past, "answer": shown[0]}
    clue = seconds / len(shown)  # when the second colour comes
    moments = sorted({int(clue) + 1, int(clue) + 11, int(clue) + 31, seconds - 1})
    yield {
        "task": "CRR",
        "video": video,
        "question": f"What comes after {shown[0].lower()}?",
        "answer": shown[1],
        "ask_time": 1,
        "clue_time": clue,
        "test_info": [{"realtime": at, "type": 1} for at in moments if at < seconds],
    }


def write_checkpoint(folder: Path) -> None:
    """An untrained InternVL3 of 16 visual tokens a frame that likes to say letters, so that some
    replies can be read; else every accuracy would be 0."""
    model, processor = tiny_internvl(image_size=112)
    letters = processor.tokenizer.convert_tokens_to_ids(list("ABC"))
    with torch.no_grad():
        model.lm_head.weight[letters] *= LOUDNESS
    save_parts(folder, model, processor)


def demo_options(output: Path) -> AblateOptions:
    """A capacity and scoring study at equal slots, on what lies below the output folder."""
    return AblateOptions(
        models={"tiny-InternVL3": ModelOptions(str(output / "checkpoint"), layout="video_first")},
        benchmark=OVOBench(output / "benchmark"),
        output=output,
        memories={
            "statekv": StateKVMemory(None),
            "h2o": H2OMemory(None),
            "tova": TOVAMemory(None),
            "keydiff": KeyDiffMemory(None),
            "sinks and recent": SinksAndRecentMemory(None),
            "window": SlidingWindowMemory(None),
            "random": RandomMemory(None),
        },
        fixed={"isolated frames": IsolatedFramesMemory()},
        budget=Budget("slots", CAPACITIES, tolerance=0.1),
        sampling=FrameSampling(FPS, 512, "start"),
        note=NOTE,
        max_new_tokens=6,
        trainer={"accelerator": "cpu", "logger": False},
    )


def main(output: Path = Path("runs/ablate-demo")) -> None:
    """Write the benchmark and the checkpoint, where they are not there yet, and run the study."""
    console = Console(stderr=True)
    console.print(NOTE, style="bold yellow", highlight=False)
    if not (output / "benchmark/ovo_bench_new.json").is_file():
        write_benchmark(output / "benchmark")
    if not (output / "checkpoint/config.json").is_file():
        write_checkpoint(output / "checkpoint")
    with one_thread():
        ablate(
            demo_options(output),
            interactive=console.is_terminal,
            say=lambda text: console.print(text, markup=False, highlight=False),
        )
    Console().print(f"Report: {output / PAGE}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
