"""One question about one video: stream the frames, stream the answer, say what it cost."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median
from typing import IO, Any

import torch
from rich.console import Console
from rich.filesize import decimal
from transformers import TextStreamer

from ...framework import Archive, CrossFrameMemory, Reader, VideoModel, VideoSession
from ...framework.stream.encoding import groups
from ...framework.stream.finite import NOT_FINITE
from ..reports.text import printable
from ..streaming.frames import VideoFrames, progress_bar
from ..streaming.media import TextFile, TextFileFrames, seen_by
from ..streaming.options import StreamOptions


class AnswerStreamer(TextStreamer):
    """Writes an answer word by word while it is generated, without the prompt."""

    def __init__(self, model: VideoModel, out: IO[str]) -> None:
        decoder: Any = _Decoder(model)
        super().__init__(decoder, skip_prompt=True)
        self.out = out

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.out.write(printable(text) + "\n" * stream_end)
        self.out.flush()


class _Decoder:
    """What `TextStreamer` wants of a tokenizer, from any adapter."""

    def __init__(self, model: VideoModel) -> None:
        self.model = model

    def decode(self, token_ids: list[int]) -> str:
        return self.model.text(torch.tensor(token_ids, dtype=torch.int64))


def stream_into(
    session: VideoSession, frames: VideoFrames | TextFileFrames, console: Console
) -> None:
    """Push all frames, as many at once as make one step, under a progress bar."""
    size = session.frames_per_step * session.model.frames_per_patch
    with progress_bar(console) as bar:
        task = bar.add_task("frames", total=frames.expected)
        for group in groups(frames, size):
            session.push([image for image, _ in group], [time for _, time in group])
            bar.advance(task, len(group))
    frames.warn(console)


def cost_line(session: VideoSession, frames: int) -> str:
    """Frames, tokens, time per frame and bytes held, in one line."""
    steps, size = session.costs, session.frames_per_step
    decode = median(step.milliseconds for step in steps) / size
    encode = median(step.encode_milliseconds for step in steps) / size
    vision = "" if session.model.reads_text else f" and {encode:.1f} ms vision"
    return (
        f"{frames} frames, {session.cursor.tokens} tokens; per frame {decode:.1f} ms decoder"
        f"{vision} (medians); "
        f"state {decimal(session.state_bytes)}, archive {decimal(session.archive.bytes_held)}"
    )


def ask(
    model: VideoModel,
    memory: CrossFrameMemory,
    media: VideoFrames | TextFile,
    question: str,
    *,
    stream: StreamOptions,
    console: Console,
    out: IO[str] | None = None,
    reader: Reader | None = None,
    archive: Archive | None = None,
    system: str | None = None,
    generation: Mapping[str, Any] | None = None,
) -> VideoSession:
    """Answer one question about one video or text. The answer goes, as it grows, to `out`, standard
    output by default; progress, warnings and costs to the console.

    Args:
        reader, archive: of the session; None as it takes them.
        system: the system turn, None for the model's own.
        generation: options of transformers' `generate`.
    """
    model, frames = seen_by(model, media, stream, system)
    session = stream.session(model, memory, archive, reader)
    stream_into(session, frames, console)
    streamer = AnswerStreamer(model, out or sys.stdout)
    options = {**(generation or {}), "streamer": streamer}
    answer = session.ask(question, max_new_tokens=stream.max_new_tokens, **options)
    if not answer.finite:
        console.print(f"WARNING: {NOT_FINITE}", style="bold yellow", markup=False, highlight=False)
    console.print(cost_line(session, frames.taken), style="dim", highlight=False, soft_wrap=True)
    return session
