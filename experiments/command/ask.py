"""Questions about one video: stream the frames, stream the answers, say what it cost."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from typing import IO

from rich.console import Console
from rich.filesize import decimal
from torch import Tensor

from ...framework import Answer, VideoModel, VideoSession
from ...framework.stream.finite import NOT_FINITE
from ..reports.text import printable
from ..streaming.archive_room import with_archive_room
from ..streaming.frames import VideoFrames, progress_bar
from ..streaming.media import TextFile, TextFileFrames, seen_by
from .answers import AnswerStreamer
from .opening import Opening, going_on
from .questions import Answering, Question, require_within, seeded

Frames = VideoFrames | TextFileFrames


def ask(
    model: VideoModel,
    opening: Opening,
    media: VideoFrames | TextFile | None,
    questions: Sequence[Question],
    *,
    answering: Answering,
    console: Console,
    out: IO[str] | None = None,
    save: str | None = None,
) -> VideoSession:
    """Answer questions about one video or text, which passes once. The answers go, as they grow, to
    `out`, standard output by default; progress, warnings and costs to the console.

    Args:
        opening: how the session begins.
        media: None to ask what was loaded.
        questions: in the order of `questions_from`. No question sees another, nor do frames.
        save: where the session is written when the video has passed.

    Raises:
        ValueError: for a question at a time when nothing is shown.
    """
    model, frames = _prepared(model, opening, media, questions)
    session = opening.session(model)
    asked = list(questions)
    if frames is not None:
        times = [question.at for question in asked if question.at is not None]
        for then in watch(session, frames, times, console):
            _answer(then, asked.pop(0), answering, console, out, headed=len(questions) > 1)
        frames.warn(console)
    if save is not None:
        session.save(save)
        console.print(f"Saved: {save}", markup=False, highlight=False, soft_wrap=True)
    for question in asked:
        _answer(session, question, answering, console, out, headed=len(questions) > 1)
    told = cost_line(session, 0 if frames is None else frames.taken)
    console.print(told, style="dim", highlight=False, soft_wrap=True)
    return session


def watch(
    session: VideoSession, frames: Frames, times: Sequence[float], console: Console
) -> Iterator[VideoSession]:
    """Push all frames, as many at once as make one step, under a progress bar; and give at each of
    the times, which rise, a session that has seen the frames until then and no other."""
    size = session.frames_per_step * session.model.frames_per_patch
    waiting: list[tuple[Tensor, float]] = []
    fitting = with_archive_room(frames, session.model, [session.archive.codec], session.cursor)
    due, own = list(times), 0.0
    with progress_bar(console) as bar:
        task = bar.add_task("frames", total=frames.expected)
        for image, own, time in going_on(fitting, session, 1 / (frames.fps or 1.0)):
            while due and own > due[0]:
                due.pop(0)
                bar.stop()
                yield _with(session, waiting)
                bar.start()
            waiting.append((image, time))
            if len(waiting) == size:
                _push(session, waiting)
                waiting = []
            bar.advance(task)
        _push(session, waiting)
    if due and math.isinf(frames.duration):
        raise ValueError(
            f"--at {due[0]:g}: {frames.name} ended {own:g} seconds after its start; ask until "
            "then, or at its end without --at"
        )
    yield from (session for _ in due)


def _with(session: VideoSession, waiting: Sequence[tuple[Tensor, float]]) -> VideoSession:
    """What the session would be if the video ended here: steps are not cut by questions."""
    if not waiting:
        return session
    twin = session.fork()
    _push(twin, waiting)
    return twin


def _push(session: VideoSession, frames: Sequence[tuple[Tensor, float]]) -> None:
    if frames:
        session.push([image for image, _ in frames], [time for _, time in frames])


def _prepared(
    model: VideoModel,
    opening: Opening,
    media: VideoFrames | TextFile | None,
    questions: Sequence[Question],
) -> tuple[VideoModel, Frames | None]:
    """The model set up for the stream, and its frames."""
    if media is None:
        return model, None
    model, frames = seen_by(model, media, opening.stream, opening.system)
    require_within(questions, frames.begin, frames.duration, frames.name)
    return model, frames


def _answer(
    session: VideoSession,
    question: Question,
    answering: Answering,
    console: Console,
    out: IO[str] | None,
    *,
    headed: bool,
) -> None:
    """One answer, under its question where there are several."""
    terminal: IO[str] = out or sys.stdout
    if headed:
        when = "end" if question.at is None else f"{question.at:g} s"
        terminal.write(f"[{when}] {printable(question.text)}\n")
    options = {**answering.generation, "streamer": AnswerStreamer(session.model, terminal)}
    seeded(answering.seed)
    answer = session.ask(question.text, max_new_tokens=answering.max_new_tokens, **options)
    warn_not_finite(answer, console)


def warn_not_finite(answer: Answer, console: Console) -> None:
    """Say loudly that an answer means nothing, if it does."""
    if not answer.finite:
        console.print(f"WARNING: {NOT_FINITE}", style="bold yellow", markup=False, highlight=False)


def cost_line(session: VideoSession, frames: int) -> str:
    """Frames, tokens, time per frame and bytes held, in one line."""
    held = f"state {decimal(session.state_bytes)}, archive {decimal(session.archive.bytes_held)}"
    steps, size = session.costs, session.frames_per_step
    if not len(steps):
        return f"{session.cursor.tokens} tokens; {held}"
    decode = median(step.milliseconds for step in steps) / size
    encode = median(step.encode_milliseconds for step in steps) / size
    vision = "" if session.model.reads_text else f" and {encode:.1f} ms vision"
    return (
        f"{frames} frames, {session.cursor.tokens} tokens; per frame {decode:.1f} ms decoder"
        f"{vision} (medians); {held}"
    )
