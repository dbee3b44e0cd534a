"""A conversation with a video while it streams in."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from rich.console import Console
from rich.filesize import decimal
from torch import Tensor

from ...framework import VideoModel, VideoSession
from ...framework.stream.chat import Chat
from ...framework.stream.encoding import groups
from ..streaming.archive_room import with_archive_room
from ..streaming.frames import VideoFrames
from ..streaming.media import TextFile, TextFileFrames, seen_by
from .answers import AnswerStreamer
from .ask import cost_line, warn_not_finite
from .opening import Opening, going_on
from .questions import Answering, seeded
from .terminal import Lines, StatusLine


class Conversation:
    """Frames are pushed, and between them what was typed is answered. One thread uses the model.

    Args:
        session: pushed to and asked.
        lines: questions, one a line; empty ones are left alone.
        answering: how they are answered.
        console: for status, warnings and errors.
        out: for answers, word by word.
    """

    def __init__(
        self,
        session: VideoSession,
        lines: Lines,
        *,
        answering: Answering,
        console: Console,
        out: IO[str],
    ) -> None:
        self.session, self.lines, self.answering = session, lines, answering
        self.console, self.out = console, out
        self.chat: Chat = session.chat()
        self.frames, self._status = 0, StatusLine(console)

    def watch(self, frames: VideoFrames | TextFileFrames, realtime: bool) -> None:
        """Push all frames, no faster than the video if `realtime`, and answer in between."""
        size = self.session.frames_per_step * self.session.model.frames_per_patch
        session = self.session
        fitting = with_archive_room(frames, session.model, [session.archive.codec], session.cursor)
        passing = going_on(fitting, session, 1 / (frames.fps or 1.0))
        self._status.open(self.status())
        for group in groups(_at_speed(passing, self, realtime), size):
            self.session.push([image for image, _ in group], [when for _, when in group])
            self.frames += len(group)
            self._status.show(self.status())
            self.answer_until(time.monotonic())

    def answer_until(self, moment: float | None) -> None:
        """Answer what has been typed, and is until a moment (None: as long as there are lines)."""
        while not self.lines.over:
            left = None if moment is None else max(0.0, moment - time.monotonic())
            question = self.lines.next(left)
            if question is not None and question.strip():
                self._answer(question.strip())
            elif question is not None:
                self._status.open(self.status())  # an empty line has left the one to type in
            elif moment is not None and not self.lines.over:
                return
        if moment is not None:  # nobody types any more
            time.sleep(max(0.0, moment - time.monotonic()))

    def status(self) -> str:
        """Where the stream is, what it holds and what a frame takes, in one line."""
        session, costs = self.session, self.session.costs
        images = costs[-1].images if len(costs) else 0
        took = (costs[-1].milliseconds + costs[-1].encode_milliseconds) / images if images else 0.0
        return (
            f"{session.state.latest or 0.0:.1f} s, {self.frames} frames; state "
            f"{decimal(session.state_bytes)}, archive {decimal(session.archive.bytes_held)}; "
            f"{took:.0f} ms per frame"
        )

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self._status.close()

    def _answer(self, question: str) -> None:
        streamer = AnswerStreamer(self.session.model, self.out)
        options = {**self.answering.generation, "streamer": streamer}
        seeded(self.answering.seed)
        try:
            most = self.answering.max_new_tokens
            warn_not_finite(self.chat.ask(question, max_new_tokens=most, **options), self.console)
        except ValueError as error:
            told = f"error: {' '.join(str(error).split())}"
            self.console.print(told, markup=False, highlight=False, soft_wrap=True)
        self._status.open(self.status())


def converse(
    model: VideoModel,
    opening: Opening,
    media: VideoFrames | TextFile | None,
    lines: Lines,
    *,
    answering: Answering,
    console: Console,
    out: IO[str] | None = None,
    realtime: bool = False,
    save: str | None = None,
) -> Conversation:
    """Stream a video and answer what is typed meanwhile and afterwards, until no line will come or
    an interrupt; then write the session into the file `save`."""
    frames = None
    if media is not None:
        model, frames = seen_by(model, media, opening.stream, opening.system)
    session = opening.session(model)
    talk = Conversation(session, lines, answering=answering, console=console, out=out or sys.stdout)
    with suppress(KeyboardInterrupt):
        if frames is not None:
            talk.watch(frames, realtime)
            frames.warn(console)
        talk.answer_until(None)
    talk.close()
    if save is not None:
        session.save(save)
        console.print(f"Saved: {save}", markup=False, highlight=False, soft_wrap=True)
    console.print(cost_line(session, talk.frames), style="dim", highlight=False, soft_wrap=True)
    return talk


def _at_speed(
    frames: Iterator[tuple[Tensor, float, float]], talk: Conversation, realtime: bool
) -> Iterator[tuple[Tensor, float]]:
    """Frames and their times in the stream; in real time each when its time has come, while what is
    typed is answered."""
    begun = None
    for image, own, when in frames:
        if begun is None:
            begun = time.monotonic() - own
        if realtime:
            talk.answer_until(begun + own)
        yield image, when
