"""All memories on the same frames: the video is decoded and encoded once, and never held whole.

What later frames see (the memory) and what the answer sees (the reader) are two choices, and how
the KV of all frames is kept (the archive) a third; every combination is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from rich.console import Console

from ...framework import (
    Answer,
    Archive,
    CrossFrameMemory,
    FullMemory,
    PlainArchive,
    ReadAll,
    Reader,
    VideoModel,
    VideoSession,
)
from ...framework.stream.costs import Timer
from ...methods import SimpleStream
from ..streaming.archive_room import with_archive_room
from ..streaming.cells import Cell, is_kept, is_readable
from ..streaming.frames import VideoFrames, progress_bar
from ..streaming.media import TextFile, seen_by
from ..streaming.options import StreamOptions
from ..streaming.shared_stream import SharedStream
from .result import Baseline, Comparison, Run

FULL = ("", "")  # where no session that is compared is full attention


@dataclass(frozen=True)
class Choices:
    """What is compared: every memory with every reader and archive, each by its text.

    Args:
        memories: what later frames may attend to.
        readers: what the answer reads.
        archives: how the KV of all frames is kept.
        last_frames: also answer from so many last frames alone, prefilled afresh (SimpleStream);
            None: do not.
        last_as_images: give them as images of their own, as SimpleStream's release does.
    """

    memories: Mapping[str, CrossFrameMemory]
    readers: Mapping[str, Reader] = field(default_factory=lambda: {"all": ReadAll()})
    archives: Mapping[str, Archive] = field(default_factory=lambda: {"plain": PlainArchive()})
    last_frames: int | None = None
    last_as_images: bool = False

    def baseline(self, model: VideoModel) -> SimpleStream | None:
        """The stream of last frames alone, where it is wanted."""
        if self.last_frames is None:
            return None
        return SimpleStream(model, self.last_frames, as_images=self.last_as_images)


def compare(
    model: VideoModel,
    choices: Choices,
    media: VideoFrames | TextFile,
    question: str,
    *,
    stream: StreamOptions,
    console: Console,
) -> Comparison:
    """Run all combinations beside full attention; progress and warnings go to `console`.

    A session per memory and archive takes the frames; readers share it, because asking changes
    nothing.
    """
    model, frames = seen_by(model, media, stream)
    combined = _possible(model, choices)
    # With the first reader that can be; the others' forks share what is written.
    first = {(memory, archive): reader for memory, archive, reader in reversed(combined)}
    written = list(dict.fromkeys((memory, archive) for memory, archive, _ in combined))
    opened = {
        (memory, archive): stream.session(
            model,
            choices.memories[memory],
            choices.archives[archive],
            choices.readers[first[memory, archive]],
        )
        for memory, archive in written
    }
    exact = next((pair for pair in written if _is_exact(opened[pair])), FULL)
    if exact is FULL:
        opened[FULL] = stream.session(model, FullMemory())
    alone, shared = choices.baseline(model), SharedStream(model, opened)
    codecs = [session.archive.codec for session in opened.values()]
    fitting = with_archive_room(frames, model, codecs)
    with progress_bar(console) as bar:
        for image, seconds in bar.track(fitting, total=frames.expected, description="frames"):
            if alone is not None:
                alone.push(image, seconds)
            shared.push(image, seconds)
        frames.warn(console)
        seen = dict(shared.sessions())

        def run(memory: str, archive: str, name: str, session: VideoSession, reader: Reader) -> Run:
            session = session.fork(reader=reader)
            return Run(memory, name, archive, session, *_asked(session, question, stream))

        reference = run("full", "plain", "all", seen[exact], ReadAll())
        runs = [
            run(memory, archive, reader, seen[memory, archive], choices.readers[reader])
            for memory, archive, reader in bar.track(combined, description="answers")
        ]
    baseline = None if alone is None else Baseline(alone, *_asked(alone, question, stream))
    return Comparison(
        question, runs, reference, baseline, frames.flagged, _left_out(model, choices)
    )


def _possible(model: VideoModel, choices: Choices) -> list[tuple[str, str, str]]:
    """Memory, archive and reader of the combinations in which there is something to read. The
    ValueError names one where none is left."""
    memories, readers, archives = choices.memories, choices.readers, choices.archives
    layers = model.spec.num_layers
    every = list(product(memories, archives, readers))
    possible = [
        (memory, archive, reader)
        for memory, archive, reader in every
        if is_readable(memories[memory], readers[reader], layers)
        and is_kept(archives[archive], readers[reader])
    ]
    if not possible:
        memory, archive, reader = every[0]
        Cell(memories[memory], readers[reader], archives[archive]).session(model)
    return possible


def _left_out(model: VideoModel, choices: Choices) -> list[str]:
    """A line for each memory and each archive beside a reader that finds nothing in it."""
    layers = model.spec.num_layers
    said = "{0}, read by {1}: not run, because {0} {2} nothing that {1} could read."
    return [
        said.format(name, reader, verb)
        for reader, reads in choices.readers.items()
        for name, verb, there in (
            *(
                (m, "carries", is_readable(made, reads, layers))
                for m, made in choices.memories.items()
            ),
            *((a, "keeps", is_kept(made, reads)) for a, made in choices.archives.items()),
        )
        if not there
    ]


def _is_exact(session: VideoSession) -> bool:
    """Whether a session is full attention with a plain archive."""
    plain = isinstance(session.archive.codec, PlainArchive)
    return plain and isinstance(session.memory, FullMemory)


def _asked(
    asked: VideoSession | SimpleStream, question: str, stream: StreamOptions
) -> tuple[Answer, float]:
    """The answer, and the milliseconds that it took."""
    timer = Timer(asked.model.device)
    answer = asked.ask(question, max_new_tokens=stream.max_new_tokens)
    return answer, timer.stop().milliseconds
