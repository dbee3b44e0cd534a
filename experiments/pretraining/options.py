"""What `crossframe pretrain` is told; loads none of the laboratory's libraries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...framework import require_count, require_one_of
from ..testbed import SynthCourse
from ..testbed.growing_course import GrowingCourse

FAMILIES = ("internvl3", "qwen3_vl", "eagle2_5")
KINDS = ("inside", "questions")
BESIDE = ("keep_every", "score_videos")  # what decides nothing about the weights
TRAIN, SEARCH, JUDGE = 0, 1, 2  # parts of SynthVideo: taught, looked at while tuning, judged by


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Which model is trained, and how long.

    Args:
        family: "internvl3", "qwen3_vl" or "eagle2_5".
        output: folder of the trained checkpoint; run again with the same settings to go on where it
            stopped.
        seed: of the initial weights and of the lessons.
        kind: "inside" also tells inside the stream what each frame shows and what was shown before;
            "questions" is trained on answers alone.
        vision: checkpoint of the family, by folder or name, whose vision tower and projector are
            taken as they are; by default they are trained first.
        decoder: checkpoint whose decoder goes on learning; by default it begins anew.
        growing: shorter videos come first; otherwise all have `max_frames`.
        max_frames: of the longest videos, an even number.
        steps: of the decoder.
        vision_steps: of the vision tower and projector, before.
        frames_per_step: of all videos of a decoder's step together.
        stills: single frames of a vision step.
        questions: most of one video.
        captions: most sentences of one video that are said behind their frames, unasked and seen by
            nothing else; 0 for none.
        gaps: most positions skipped in a video, which stands for a longer one then; 0 for none.
        learning_rate: of the decoder, at its highest.
        vision_learning_rate: of the vision tower, at its highest.
        keep_every: steps between two checkpoints to go on from.
        score_videos: held-out videos of each length whose questions are scored at the end.

    Raises:
        ValueError: for settings that cannot work, naming the value.
    """

    family: str
    output: Path
    seed: int = 0
    kind: str = "inside"
    vision: str | None = None
    decoder: str | None = None
    growing: bool = True
    max_frames: int = 32
    steps: int = 4000
    vision_steps: int = 2000
    frames_per_step: int = 384
    stills: int = 256
    questions: int = 12
    captions: int = 0
    gaps: int = 3072
    learning_rate: float = 2.5e-3
    vision_learning_rate: float = 3e-3
    keep_every: int = 100
    score_videos: int = 64

    def __post_init__(self) -> None:
        require_one_of("pretrain", "family", self.family, FAMILIES)
        require_one_of("pretrain", "kind", self.kind, KINDS)
        for name in ("steps", "vision_steps", "stills", "questions", "keep_every", "score_videos"):
            require_count("pretrain", name, getattr(self, name), least=1, unbounded=False)
        for name in ("gaps", "captions"):
            require_count("pretrain", name, getattr(self, name), least=0, unbounded=False)
        require_count("pretrain", "max_frames", self.max_frames, least=2, unbounded=False)
        if self.max_frames % 2:
            raise ValueError(
                f"pretrain: max_frames must be even, got {self.max_frames}: a temporal patch of "
                "Qwen3-VL is two frames"
            )
        if self.frames_per_step < self.max_frames:
            raise ValueError(
                f"pretrain: frames_per_step={self.frames_per_step} are less than one video of "
                f"max_frames={self.max_frames}: give more"
            )
        if not 0 <= self.seed < 1000:
            raise ValueError(f"pretrain: seed must be 0 to 999, got {self.seed}")

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide about the weights."""
        ours = asdict(self).items()
        return {name: value for name, value in ours if name not in ("output", *BESIDE)}


@dataclass(frozen=True, kw_only=True)
class LessonOptions:
    """Which lessons of SynthVideo are taught.

    Args:
        tasks: kinds of questions, as the testbed writes them: "needle", "count:most=4", ...
        scene: frames that a scene stays, least and most, in lessons of at least `grown` frames;
            one in shorter ones, which come first.
        grown: see `GrowingCourse`.
    """

    tasks: Sequence[str] = ("now", "needle", "recall", "first", "last", "before_last", "order")
    scene: tuple[int, int] = (1, 4)
    grown: int = 32

    def course(self, family: str, part: int) -> GrowingCourse:
        """The course of a part; for Qwen3-VL nothing changes inside a pair of frames."""
        every = 2 if family == "qwen3_vl" else 1
        later = SynthCourse(
            tasks=tuple(self.tasks), scene=self.scene, every=every, part=part, questions=16
        )
        return GrowingCourse(replace(later, scene=1), later, self.grown)
