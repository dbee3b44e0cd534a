"""The card of a trained model: what it was trained on and how well it answers, from its scores."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...framework.files.whole_file import whole_file
from ...models.own_checkpoints import OWNER
from ..reports.tables import markdown_table
from .options import BESIDE, LessonOptions, PretrainOptions
from .scoring import Scores

CARD = "README.md"
CHECKPOINTS = ("vision", "decoder")  # settings that name one
SOUND = 0.9  # accuracy below which a card says that a task is not learnt
TOLD = {
    "inside": "Besides answers, the loss was on what could be told inside the stream behind each "
    "frame: its object, and what was shown before. Later frames learn to look back, so a memory "
    "counts while the stream passes.",
    "questions": "The loss was on answers alone, so the stream's own tokens have less need to look "
    "back than those of a model that was also told inside the stream.",
}


def write_card(scores: Scores, options: PretrainOptions, facts: Mapping[str, Any]) -> Path:
    """Write the card into the folder of the checkpoint.

    Args:
        facts: of the model and the run: `parameters`, `made_by`, `words`, `course`, `command`,
            `machine`, and `minutes` of processor time by part of training.
    """
    path = options.output / CARD
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("card.md").render(
        name=f"crossframe tiny {options.family}, seed {options.seed}",
        load=options.output.as_posix() if not options.output.is_absolute() else options.output.name,
        table=score_table(scores),
        settings=_settings(options, facts["course"]),
        told=TOLD[options.kind],
        begun=begun(options),
        cost=cost(facts["minutes"]),
        limits=limits(scores),
        part=scores.course,
        videos=len(scores.seeds),
        first_seed=scores.seeds[0],
        last_seed=scores.seeds[-1],
        trained_frames=scores.trained_frames,
        example=scores.example,
        **{name: facts[name] for name in ("parameters", "made_by", "words", "command", "machine")},
    )
    with whole_file(path) as file:
        file.write(text.encode())
    return path


def score_table(scores: Scores) -> str:
    """Tasks downwards, lengths across, and what is had without seeing."""
    heads = ["task", *(f"{count} frames" for count in scores.by_frames), "blind", "chance"]
    asked = scores.asked
    lines = [
        [
            f"{task} ({asked[task]})",
            *(_percent(found.get(task)) for found in scores.by_frames.values()),
            _percent(scores.blind.get(task)),
            _percent(scores.chance.get(task)),
        ]
        for task in scores.tasks
    ]
    return markdown_table(heads, lines)


def limits(scores: Scores) -> Sequence[str]:
    """What the scores say it has not learnt, and how far it reaches."""
    trained = scores.by_frames[scores.trained_frames]
    poor = [task for task in scores.tasks if trained.get(task, 0.0) < SOUND]
    lines = []
    if poor:
        named = ", ".join(f"{task} ({_percent(trained.get(task))} %)" for task in poor)
        lines.append(f"Not learnt well, below {SOUND:.0%} with full attention: {named}.")
    for frames, found in scores.by_frames.items():
        fallen = [task for task in found if found[task] < min(SOUND, trained.get(task, 0.0) - 0.05)]
        if frames > scores.trained_frames and fallen:
            lines.append(f"At {frames} frames, longer than trained, it loses: {', '.join(fallen)}.")
    return lines


def begun(options: PretrainOptions) -> str:
    """Where vision and decoder began."""
    vision = (
        "Vision tower and projector were trained on single frames first and then left as they were."
        if options.vision is None
        else f"Vision tower and projector are those of `{_named(options.vision)}`."
    )
    if options.decoder is None:
        return vision
    return f"{vision} The decoder went on from that of `{_named(options.decoder)}`."


def cost(minutes: Mapping[str, float]) -> str:
    """Processor time of training, which grows where other programs share the cores."""
    parts = ", ".join(f"{part} {spent:.0f}" for part, spent in minutes.items())
    return f"Training took {sum(minutes.values()):.0f} minutes of processor time ({parts})."


def command_line(*options: PretrainOptions | LessonOptions) -> str:
    """What makes a checkpoint again: all that differs from the defaults."""
    words = ["crossframe", "pretrain"]
    for kind in options:
        for field in fields(kind):
            value = _as_word(getattr(kind, field.name))
            value = _named(value) if field.name in CHECKPOINTS else value
            if field.name not in BESIDE and value != _as_word(field.default):
                words += [f"--{field.name.replace('_', '-')}", value]
    return shlex.join(words)


def _as_word(value: object) -> str:
    """As the command reads it: a folder by its name, several values in brackets."""
    if isinstance(value, Path):
        return value.name
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


def _settings(options: PretrainOptions, course: str) -> dict[str, str]:
    said = {"course": f"`{course}`"}
    told = options.identity | {
        name: _named(value) for name in CHECKPOINTS if (value := options.identity[name]) is not None
    }
    given = {name: value for name, value in told.items() if value is not None}
    return said | {name.replace("_", " "): str(value) for name, value in given.items()}


def _named(checkpoint: str) -> str:
    """A checkpoint by its name, a folder by its last part: no paths of a machine in a card."""
    return checkpoint if checkpoint.startswith(OWNER) else Path(checkpoint).name


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"
