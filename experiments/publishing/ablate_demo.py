"""`make ablate-demo`: a whole study in a minute or two, on a tiny trained model.

`python -m crossframe.experiments.publishing.ablate_demo` writes drawn videos in OVO-Bench's layout
below its output folder, then runs the study like any other.
"""

from __future__ import annotations

from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console

from ...methods import (
    H2OMemory,
    IsolatedFramesMemory,
    KeyDiffMemory,
    RandomMemory,
    RecencyMemory,
    SinksAndRecentMemory,
    StateKVMemory,
    TOVAMemory,
)
from ..ablation.options import AblateOptions, Budget
from ..ablation.report import PAGE
from ..ablation.run import ablate
from ..benchmarks import OVOBench
from ..demo.clip import TASKS
from ..demo.settings import MODEL
from ..streaming.environment import one_thread
from ..streaming.sampling import FrameSampling
from ..testbed.chance import PARTS
from ..testbed.folder import ACCOUNT, write_folder
from ..testbed.options import FolderOptions
from ..testbed.setting import Setting

NOTE = (
    "A demonstration: the model has half a million parameters and was taught to answer questions "
    "about videos drawn like these, of which it has seen none, and about nothing else. Its answers "
    "are real; what they say about memories holds for this model and a few videos."
)
CLIPS, FRAMES, QUESTIONS = 16, 32, 8
CAPACITIES = (27, 54, 108)  # 3, 6 and 12 frames
FPS = 1


def write_benchmark(folder: Path) -> None:
    """Drawn videos in OVO-Bench's layout, asked at several moments, most of them about the past."""
    options = FolderOptions(
        layout="ovobench", part=PARTS["search"], clips=CLIPS, frames=FRAMES, tasks=TASKS,
        questions=QUESTIONS, fps=FPS,
    )  # fmt: skip
    for _ in write_folder(folder, Setting(), options):
        pass


def demo_options(output: Path) -> AblateOptions:
    """A capacity and scoring study at equal slots, on what lies below the output folder."""
    parts = ("backward", "realtime")
    return AblateOptions(
        models={"tiny-InternVL3": MODEL},
        benchmark=OVOBench(output / "benchmark", prompt="question", parts=parts),
        output=output,
        memories={
            "statekv": StateKVMemory(None),
            "h2o": H2OMemory(None),
            "tova": TOVAMemory(None),
            "keydiff": KeyDiffMemory(None),
            "sinks and recent": SinksAndRecentMemory(None),
            "recency": RecencyMemory(None),
            "random": RandomMemory(None),
        },
        fixed={"isolated frames": IsolatedFramesMemory()},
        budget=Budget("slots", CAPACITIES),
        sampling=FrameSampling(FPS, 512, "start"),
        note=NOTE,
        max_new_tokens=3,
        trainer={"accelerator": "cpu", "logger": False},
    )


def main(output: Path = Path("runs/ablate-demo")) -> None:
    """Write the benchmark, where it is not there yet, and run the study."""
    console = Console(stderr=True)
    console.print(NOTE, style="bold yellow", highlight=False)
    if not (output / "benchmark" / ACCOUNT).is_file():
        write_benchmark(output / "benchmark")
    with one_thread():
        ablate(
            demo_options(output),
            interactive=console.is_terminal,
            say=lambda text: console.print(text, markup=False, highlight=False),
        )
    Console().print(f"Report: {output / PAGE}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
