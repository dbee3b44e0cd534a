"""What a folder of the testbed is to hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .chance import PARTS, SEEDS
from .layouts import LAYOUTS
from .tasks import task_from

# Seconds of frames at these rates are exact in floating point.
RATES = (1, 2, 4, 8)


@dataclass(frozen=True)
class FolderOptions:
    """Videos and questions of a folder, beside the setting that its clips are drawn by.

    Args:
        layout: the published layout: "videomme" and "mlvu" ask at the end of videos, "ovobench" at
            several times.
        part: 1 to search, 2 to judge (once), 0 to train; no clip of one is in another.
        clips: videos. Where tasks want several stages they take turns.
        first_seed: of the first clip, the others follow.
        frames: of each video, a multiple of `every`.
        tasks: each as NAME or NAME:KNOB=VALUE, such as needle:delay=8-16.
        questions: asked at most of each video of "ovobench", at times drawn alike.
        circular: give each question once per rotation of its options, so that a preference for a
            letter gains nothing.
        fps: frames per second of the files: 1, 2, 4 or 8; run the benchmark with the same number.
        scale: pixels of a file, across and down, for each pixel of a frame.

    Raises:
        ValueError: for what cannot be, naming it and the remedy.
    """

    layout: str = "videomme"
    part: int = 1
    clips: int = 100
    first_seed: int = 0
    frames: int = 32
    tasks: tuple[str, ...] = ("needle", "recall", "first")
    questions: int = 8
    circular: bool = False
    fps: int = 2
    scale: int = 4

    def __post_init__(self) -> None:
        self._require("layout", LAYOUTS)
        self._require("part", tuple(PARTS.values()))
        self._require("fps", RATES)
        for name in ("clips", "frames", "questions", "scale"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.first_seed <= SEEDS - self.clips:
            raise ValueError(f"first_seed must be 0 to {SEEDS - self.clips}, got {self.first_seed}")
        for task in self.tasks:
            task_from(task)
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks must be one or more, each once; got {', '.join(self.tasks)}")

    def _require(self, name: str, known: Collection[object]) -> None:
        if getattr(self, name) not in known:
            these = ", ".join(map(str, known))
            raise ValueError(f"{name} must be one of {these}; got {getattr(self, name)!r}")
