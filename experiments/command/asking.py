"""Commands that ask about one video: what each does with its values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...framework.files.whole_file import require_replaceable
from ..evaluation.generation import require_generation
from ..streaming.frames import VideoFrames
from ..streaming.media import TextFile, open_media
from ..streaming.options import ModelOptions, StreamOptions
from .arguments import options_from
from .commands import WEBCAM
from .console import load, messages
from .opening import opening_from
from .questions import Answering, Question, questions_from, require_within
from .terminal import Lines

Values = Mapping[str, Any]
# In place of a video: none.
NONE = "-"


def run_ask(values: Values) -> None:
    """Questions about one video."""
    questions = questions_from(values["questions"], values["at"])
    _require_use(values, questions)
    opening = opening_from(values)
    media = _media(values, opening.stream)
    if isinstance(media, VideoFrames):  # of a text it takes the model to tell
        require_within(questions, media.begin, media.duration, values["video"])
    answering = _answering(values)
    model = load(options_from(ModelOptions, values))
    from .ask import ask  # loads transformers

    told = {"console": messages(), "save": values["save"]}
    ask(model, opening, media, questions, answering=answering, **told)


def run_chat(values: Values) -> None:
    """A conversation while the video streams in."""
    if values["save"] is not None:
        require_replaceable(Path(values["save"]))
    opening = opening_from(values)
    media = _media(values, opening.stream)
    answering = _answering(values)
    model = load(options_from(ModelOptions, values))
    from .chat import converse  # loads transformers

    told = {"console": messages(), "save": values["save"], "realtime": values["realtime"]}
    converse(model, opening, media, Lines(sys.stdin.fileno()), answering=answering, **told)


def _media(values: Values, stream: StreamOptions) -> VideoFrames | TextFile | None:
    """What VIDEO names; None for none, which takes a session to ask."""
    if values["video"] != NONE:
        return open_media(f"{WEBCAM}://0" if values["video"] == WEBCAM else values["video"], stream)
    if values["load"] is None:
        raise ValueError(
            f"{NONE} stands for no video: load a session with --load FILE, or name one"
        )
    return None


def _require_use(values: Values, questions: Sequence[Question]) -> None:
    """Refuse what would answer nothing, or ask about nothing, before anything is loaded."""
    if not questions and values["save"] is None:
        raise ValueError(
            "there is nothing to answer: write a question behind the video, or one with its time: "
            '--at 12.5 "What is he doing?"; or keep the session with --save FILE'
        )
    if values["save"] is not None:
        require_replaceable(Path(values["save"]))
    if values["video"] != NONE or values["load"] is None:
        return
    timed = [question for question in questions if question.at is not None]
    if timed:
        raise ValueError(
            f"--at {timed[0].at:g} {timed[0].text!r}: no video passes, so ask without --at"
        )


def _answering(values: Values) -> Answering:
    return Answering(values["max_new_tokens"], _generation(values), values["seed"])


def _generation(values: Values) -> dict[str, Any]:
    """Options of `generate`; greedy without a temperature."""
    generation, temperature = dict(values["generation"]), values["temperature"]
    if temperature is not None:
        generation |= {"do_sample": temperature > 0}
        generation |= {"temperature": temperature} if temperature > 0 else {}
        if temperature < 0:
            raise ValueError(f"--temperature must be at least 0, got {temperature:g}")
    if generation:
        require_generation(generation)
    return generation
