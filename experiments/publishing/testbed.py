"""What docs/testbed.md shows of the testbed: what guesses gain, what mp4 costs, how it looks.

`python -m crossframe.experiments.publishing.testbed` measures and draws; then `publish` renews the
tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import auto_cli
from PIL import Image, ImageDraw, ImageFont

from ..reports.tables import markdown_table
from ..streaming.environment import commit, machine
from ..testbed import TASKS, Clip, Setting, TimedQuestion, make_clip
from ..testbed.blind import blind_guess
from ..testbed.mp4 import ENCODER, encoding_loss
from ..testbed.past import Past
from ..testbed.tasks import Task

Result = Mapping[str, Any]
KNOBS = {
    "now": "what", "needle": "delay, shown", "recall": "delay", "before_last": "delay",
    "first": "what", "last": "back", "order": "apart", "count": "most", "seen_before": "least",
    "tally": "modulo", "swaps": "swaps", "left": "delay",
}  # fmt: skip
SIZES, FACTORS = (32, 64, 128), (1, 2, 4)
# Of a sheet.
FRAMES, SIDE, GAP, EVIDENCE, ASKED = 16, 64, 6, (20, 150, 70), (20, 20, 20)


def tasks_table(result: Result) -> str:
    """Tasks, their knobs, the rules they break, and what a guess gains."""
    cells = [
        [
            f"`{row['task']}`",
            ", ".join(f"`{knob}`" for knob in KNOBS[row["task"]].split(", ")),
            rule_of(TASKS[row["task"]]),
            f"{row['chance']:.3f}",
            f"{row['right']:.3f} ± {row['error']:.3f}",
            f"{row['last_frame']:.3f}",
        ]
        for row in result["tasks"]
    ]
    heads = ["task", "knobs", "rule it breaks", "chance", "blind guess", "last frame"]
    return markdown_table(heads, cells)


def loss_table(result: Result) -> str:
    """Loss by size and by how much the file is enlarged."""
    heads = ["frames", *(f"scale {factor}" for factor in FACTORS)]
    cells = [[f"{size} × {size}"] for size in SIZES]
    for row in result["encoding"]:
        told = f"{row['mean_absolute_error']:.1f}, {row['psnr']:.1f} dB"
        cells[SIZES.index(row["size"])].append(told)
    return markdown_table(heads, cells)


def rule_of(task: Task) -> str:
    """The sentence of its docstring that says which rule it breaks."""
    text = " ".join((type(task).__doc__ or "").split())
    found = re.search(r"Breaks (.*?)\.(?: |$)", text)
    if found is None:
        raise ValueError(f"the docstring of {type(task).__name__} does not say what it breaks")
    return found[1]


def sheet(task: Task) -> Image.Image:
    """A clip of a task, frame by frame: evidence framed in green, the last frame seen in black."""
    clip, question = _example(task)
    page = Image.new("RGB", (FRAMES * (SIDE + GAP) + GAP, SIDE + 2 * GAP + 24), "white")
    draw = ImageDraw.Draw(page)
    for number, frame in enumerate(clip.frames[: question.frame + 1]):
        left = GAP + number * (SIDE + GAP)
        colour = EVIDENCE if number in question.evidence else None
        colour = ASKED if number == question.frame and colour is None else colour
        if colour is not None:
            draw.rectangle((left - 3, GAP - 3, left + SIDE + 2, GAP + SIDE + 2), fill=colour)
        # Of noise, the upper bits alone: a fifth of the file, and the colours stay.
        page.paste(Image.fromarray(frame & 0xF0 | 8), (left, GAP))
    text = f"{task.name}:  {question.text}  {question.answer}"
    draw.text((GAP, SIDE + 2 * GAP + 2), text, "black", font=ImageFont.load_default(15))
    return page


def _example(task: Task) -> tuple[Clip, TimedQuestion]:
    """The first clip of the search part that is asked about at its end, early enough shown."""
    begin = 100 * list(TASKS).index(task.name)  # another clip for each
    for seed in range(begin, begin + 1000):
        setting = Setting(
            size=SIDE,
            stage=task.stage,
            scene=3 if task.stage == "cups" else 2,
            background=("static", "changing")[seed % 2],
            distractors=seed % 3,
            cuts=0.25,
            occlusion=0.2,
        )
        clip = make_clip(setting, 1, seed, FRAMES)
        question = task.ask(Past(clip.truth, FRAMES - 1), np.random.default_rng(seed))
        if question is not None and (task.name == "now" or question.evidence[0] < FRAMES // 2):
            return clip, question
    raise ValueError(f"no clip to show for {task.name}")


def measure(clips: int) -> dict[str, Any]:
    """All of docs/results/testbed.json."""
    encoding = [
        {"size": size, "factor": factor, **_loss(size, factor)}
        for size in SIZES
        for factor in FACTORS
    ]
    tasks = [{"task": name, **asdict(blind_guess(name, clips))} for name in TASKS]
    stamp = {**machine(torch.device("cpu")), "dtype": "uint8", "commit": commit()}
    return {
        "clips": clips,
        "encoder": ENCODER,
        "environment": stamp,
        "tasks": tasks,
        "encoding": encoding,
    }


def _loss(size: int, factor: int) -> dict[str, float]:
    """Means over 8 clips of the search part, half of them with static backgrounds."""
    losses = []
    for seed in range(8):
        setting = Setting(size=size, scene=(1, 6), background=("static", "changing")[seed % 2])
        losses.append(asdict(encoding_loss(make_clip(setting, 1, seed, 32).frames, factor=factor)))
    return {name: round(float(np.mean([one[name] for one in losses])), 3) for name in losses[0]}


def main(root: Path = Path(), clips: int = 20000) -> None:
    """Measure and draw.

    Args:
        root: the repository.
        clips: of each task, for the guesses.
    """
    for name, task in TASKS.items():
        sheet(task).save(root / "docs" / "figures" / f"testbed_{name}.png", optimize=True)
    text = json.dumps(measure(clips), indent=1) + "\n"
    (root / "docs" / "results" / "testbed.json").write_text(text, "utf-8")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
