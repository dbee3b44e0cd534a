"""Memory and time of a question about a long archive, by how that is kept.

The archive is filled with random numbers at InternVL3-1B's sizes of attention; the rest of the
decoder is small, so that what is measured is reading. One kind of archive a process,
as memory that another left free would not show. Prints one row of JSON.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
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
from ...framework.archives.storage import ArchiveStorage
from ...framework.flops import DecoderSpec
from ...framework.frame_tokens import Cursor
from ...framework.reference import ReferenceDecoder

SPEC = DecoderSpec(24, 64, 64, 14, 2, 64, 50)
FRAME = 2048
ARCHIVES: dict[str, Callable[[Path | None], Archive]] = {
    "plain": lambda folder: PlainArchive(),
    "cpu": lambda folder: CPUArchive(),
    "disk": lambda folder: DiskArchive(folder),
    "int8": lambda folder: Int8Archive(),
    "int4": lambda folder: Int4Archive(),
}


def filled(archive: Archive, num_bytes: float) -> ArchiveStorage:
    """Random keys and values until they hold so many bytes."""
    storage = ArchiveStorage(archive, SPEC.num_layers)
    heads, size = SPEC.num_kv_heads, SPEC.head_dim
    while storage.bytes_held < num_bytes:
        for layer in range(SPEC.num_layers):
            storage.append_layer(layer, *torch.randn(2, 1, heads, FRAME, size))
        index = torch.arange(FRAME)[None] + storage.num_tokens
        columns = {"index": index, "frame": index // 256, "visual": index >= 0}
        storage.append_columns({**columns, "positions": index[None]})
    return storage


def asked(session: VideoSession, new_tokens: int) -> float:
    """Seconds of a question with so many new tokens."""
    begun = time.perf_counter()
    session.ask([3, 1, 4], max_new_tokens=new_tokens)
    return time.perf_counter() - begun


class PeakMemory:
    """Most bytes of anonymous memory while its block runs, beside those before."""

    def __enter__(self) -> PeakMemory:
        self.before = self.most = _anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, _anonymous())


def _anonymous() -> int:
    """Bytes of this process that are pages of no file."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) << 10


def main(archive: str, gib: float = 4.0, new_tokens: int = 3, folder: Path | None = None) -> None:
    """Measure one kind of archive.

    Args:
        archive: one of `ARCHIVES`.
        gib: bytes of the archive, in GiB.
        new_tokens: of the longer of two answers, by whose difference a token's time is measured.
        folder: for files of an archive on disk; the system's own by default.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = ReferenceDecoder(SPEC, float_type=torch.float32)
    kept = ARCHIVES[archive](folder)
    session = VideoSession(model, FullMemory(), archive=kept, max_tokens=1 << 22)
    storage = filled(kept, gib * 2**30)
    tokens = storage.num_tokens
    cursor = Cursor(tokens=tokens, frames=tokens // 256, position=tokens)
    session.resume(replace(session.state, cursor=cursor, largest_frame=256), storage)
    with PeakMemory() as memory:
        first = asked(session, 1)
        longer = asked(session, new_tokens)
    row = {
        "archive": archive,
        "archive_bytes": storage.bytes_held,
        "tokens": tokens,
        "peak_mib": round((memory.most - memory.before) / 2**20, 1),
        "seconds_to_first_token": round(first, 2),
        "seconds_per_new_token": round((longer - first) / (new_tokens - 1), 3),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
