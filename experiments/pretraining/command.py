"""`crossframe pretrain`: a trained, scored and described checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..evaluation.folder import write_json
from ..streaming.environment import machine, one_thread
from ..testbed import SynthCourse
from ..testbed.lessons import Course
from .card import write_card
from .options import PretrainOptions
from .run import train
from .scoring import score

SCORES = "scores.json"
TRAIN, JUDGE = 0, 2  # parts of a course; 1 is there to search for better training


@dataclass(frozen=True, kw_only=True)
class LessonOptions:
    """Which lessons of SynthVideo are taught.

    Args:
        tasks: kinds of questions, as the testbed writes them: "needle", "count:most=4", ...
        scene: frames that a scene stays, least and most.
    """

    tasks: Sequence[str] = (
        *("now", "needle", "recall", "first", "last", "before_last", "order", "seen_before"),
    )
    scene: tuple[int, int] = (1, 3)

    def course(self, family: str, part: int) -> SynthCourse:
        """The course of a part; for Qwen3-VL nothing changes inside a pair of frames."""
        every = 2 if family == "qwen3_vl" else 1
        return SynthCourse(
            tasks=tuple(self.tasks), scene=self.scene, every=every, part=part, questions=16
        )


def pretrain(options: PretrainOptions, taught: Course, held_out: Course, console: Console) -> Path:
    """Train, score and describe a model; run again to go on after a stop.

    Args:
        taught: what it is trained on.
        held_out: what it is scored on; shares no lesson with `taught`.
        console: shows progress.

    Returns:
        The path of the model's card.

    Raises:
        ValueError: as `train`.
    """
    model = train(options, taught, interactive=console.is_terminal)
    with one_thread(), console.status("scoring") as status:
        scores = score(
            model,
            held_out,
            seeds=range(options.score_videos),
            trained_frames=options.max_frames,
            say=status.update,
        )
    write_json(options.output / SCORES, scores.as_data())
    facts = {
        "parameters": sum(weight.numel() for weight in model.hf_model.parameters()),
        "made_by": f"A tiny `{type(model.hf_model).__name__}`",
        "words": len(taught.words),
        "course": repr(taught),
        "machine": _told(machine(model.device)),
    }
    return write_card(scores, options, facts)


def _told(facts: dict[str, str | int | None]) -> str:
    return f"{facts['cpu']}, torch {facts['torch']}, transformers {facts['transformers']}"
