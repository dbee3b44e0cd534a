"""`crossframe pretrain`: a trained, scored and described checkpoint."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..evaluation.folder import read_json, write_json
from ..streaming.environment import machine, one_thread
from ..testbed.lessons import Course
from .card import write_card
from .options import PretrainOptions
from .run import MINUTES, course_name, train
from .scoring import score

SCORES = "scores.json"


def pretrain(
    options: PretrainOptions,
    taught: Course,
    held_out: Course,
    console: Console,
    command: str = "",
) -> Path:
    """Train, score and describe a model; run again to go on after a stop.

    Args:
        taught: what it is trained on.
        held_out: what it is scored on; shares no lesson with `taught`.
        console: shows progress.
        command: what was typed, if anything was.

    Returns:
        The path of the model's card.

    Raises:
        ValueError: as `train`.
    """
    say = None if console.is_terminal else console.print
    model = train(options, taught, interactive=console.is_terminal, say=say)
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
        "course": course_name(taught),
        "command": command,
        "machine": _told(machine(model.device)),
        "minutes": read_json(options.output / MINUTES, "train again"),
    }
    return write_card(scores, options, facts)


def _told(facts: dict[str, str | int | None]) -> str:
    return f"{facts['cpu']}, torch {facts['torch']}, transformers {facts['transformers']}"
