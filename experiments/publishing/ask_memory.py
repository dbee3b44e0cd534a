"""Memory and time of a question about a long archive, by how that is kept.

The decoder is InternVL3-1B's with random weights and a small vocabulary; its archive is filled with
random numbers, a block of them again and again, up to a number of bytes or of frames. One kind of
archive a process, as memory that another left free would not show. Prints one row of JSON.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from jsonargparse import auto_cli

from ...framework import (
    Archive,
    CPUArchive,
    DiskArchive,
    FullMemory,
    Int4Archive,
    Int8Archive,
    PlainArchive,
    VideoSession,
)
from ...framework.archives.room import archive_bytes
from ...framework.attention.attend import AUTO, choose
from ...framework.stream.origin import FARTHEST
from ...framework.stream.state import StreamState
from ...framework.stream.step import place_of
from ...models import DecoderModel
from .benches import Row, dtype_name, require_device
from .built_streams import Past, filled_archive
from .random_models import random_decoder

MODEL = "InternVL3-1B"
FRAME_TOKENS = 259
ARCHIVES: dict[str, Callable[[Path | None], Archive]] = {
    "plain": lambda folder: PlainArchive(),
    "cpu": lambda folder: CPUArchive(),
    "disk": lambda folder: DiskArchive(folder),
    "int8": lambda folder: Int8Archive(),
    "int4": lambda folder: Int4Archive(),
}


def frames_in(archive: Archive, model: DecoderModel, num_bytes: float) -> int:
    """Whole frames that come to so many bytes, at least one."""
    return max(1, round(num_bytes / archive_bytes(archive, model, FRAME_TOKENS)))


def filled(model: DecoderModel, archive: Archive, frames: int) -> VideoSession:
    """A session that has so many frames behind it, of which nothing is carried."""
    session = VideoSession(model, FullMemory(), archive=archive, max_tokens=FARTHEST)
    past = Past(frames, FRAME_TOKENS)
    storage = filled_archive(model, archive, past, past.tokens)
    session.resume(StreamState(past.cursor, largest_frame=FRAME_TOKENS), storage)
    return session


def asked(session: VideoSession, new_tokens: int) -> float:
    """Seconds of a question with so many new tokens."""
    begun = time.perf_counter()
    session.ask([3, 1, 4], max_new_tokens=new_tokens)  # gives token ids, for which CUDA waits
    return time.perf_counter() - begun


class PeakMemory:
    """Most bytes of anonymous memory while its block runs, beside those before; on CUDA, of what
    torch has allocated there."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None

    def __enter__(self) -> PeakMemory:
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._cuda)
        self.before = self.most = _held(self._cuda)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def mib(self) -> float:
        """What was held at most beyond what was held before, in MiB."""
        most = torch.cuda.max_memory_allocated(self._cuda) if self._cuda else self.most
        return round((most - self.before) / 2**20, 1)

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, _held(None))


def _held(cuda: torch.device | None) -> int:
    """Bytes that torch has allocated on a GPU; without one, of this process's pages of no file."""
    if cuda:
        return torch.cuda.memory_allocated(cuda)
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) << 10


def main(
    archive: str,
    gib: float = 4.0,
    frames: int | None = None,
    new_tokens: int = 3,
    folder: Path | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    layers: int | None = None,
) -> None:
    """Measure one kind of archive.

    Args:
        archive: one of `ARCHIVES`.
        gib: bytes of the archive, in GiB.
        frames: of 259 tokens, instead; 3,600 are an hour at one per second.
        new_tokens: of the longer of two answers, by whose difference a token's time is measured.
        folder: for files of an archive on disk; the system's own by default.
        dtype: of the model, and of what an archive keeps as it is.
        device: "cpu" or "cuda".
        layers: of the decoder; null takes all of InternVL3-1B's.
    """
    place = require_device(device)
    kept = archive_named(archive, folder)
    torch.set_num_threads(1)
    model = random_decoder(MODEL, layers, place, getattr(torch, dtype))
    count = frames or frames_in(kept, model, gib * 2**30)
    print(json.dumps({"archive": archive} | measure(filled(model, kept, count), new_tokens)))


def archive_named(name: str, folder: Path | None) -> Archive:
    """One of `ARCHIVES`.

    Raises:
        ValueError: for another name.
    """
    if name not in ARCHIVES:
        raise ValueError(f"archive must be one of {(*ARCHIVES,)}, got {name!r}")
    return ARCHIVES[name](folder)


def measure(session: VideoSession, new_tokens: int) -> Row:
    """A row about asking a session; on CUDA not its first question, which loads kernels."""
    model, storage = session.model, session.archive
    place = {"in_blocks": True, "place": place_of(model), "question": True}
    if model.device.type == "cuda":
        asked(session, new_tokens)
    with PeakMemory(model.device) as memory:
        first = asked(session, 1)
        longer = asked(session, new_tokens)
    return {
        "backend": choose(AUTO, **place).name,
        "device": str(model.device),
        "dtype": dtype_name(model.dtype),
        "layers": model.spec.num_layers,
        "frames": session.cursor.frames,
        "tokens": storage.num_tokens,
        "archive_bytes": storage.bytes_held,
        "peak_mib": memory.mib,
        "seconds_to_first_token": round(first, 3),
        "seconds_per_new_token": round((longer - first) / (new_tokens - 1), 4),
    }


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
