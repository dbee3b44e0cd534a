"""The archive in memory-mapped files, for streams whose KV does not fit main memory."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from .codec import WrappedArchive

# Zeros written at a time where the system cannot reserve space of a file by one call: 8 MiB.
_CHUNK = 1 << 23


@final
@dataclass(frozen=True)
class DiskArchive(WrappedArchive):
    """Keep what the inner archive packs in memory-mapped files.

    Rule: one file per page, layer and packed tensor. A file loses its name as soon as it is mapped,
    so that the system frees it with the session, however that ends.
    Its space is reserved beforehand, so that a full disk fails the push and nothing else.
    Readers get CPU tensors whose pages are read from disk when touched; what they return is moved
    to the layer's device.

    Args:
        folder: on a disk with room for the archive. None is the system's temporary folder, which
            on some systems is itself memory.
        inner: how keys and values are packed; as they are by default.

    Raises:
        ValueError: if files cannot be made in the folder, or the system is not POSIX.
        OSError: at a push, if the folder is gone or its disk full; the session stays as it was. It
            can still be asked, and be saved elsewhere.

    Cost per frame: one copy of the frame's packed KV into mapped pages, written back by the system.
    Bytes held: as the inner archive, as file pages that the system may drop and read again. A disk
    that fails while its pages are touched ends the process, as with any mapped file. A process
    made by `os.fork` shares the files: only one of the two may push on.
    """

    folder: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if os.name != "posix":
            raise ValueError(
                f"DiskArchive needs files that live on without a name, which {sys.platform} does "
                "not have: use CPUArchive"
            )
        if self.folder is not None:
            # Absolute, and text so that it can be saved: a process may change its folder.
            object.__setattr__(self, "folder", os.path.abspath(self.folder))
        try:
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise ValueError(
                f"DiskArchive: no file can be made in folder={self.folder!r} ({error.strerror}): "
                "give one that exists and may be written to"
            ) from error

    def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
        return self.inner.unpack_keys(packed)

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        self.inner.unpack_into(packed, keys, values)

    def place(self, example: Tensor) -> str:
        del example
        return tempfile.gettempdir() if self.folder is None else str(self.folder)

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        count = math.prod(shape)
        if count == 0:  # a file without bytes cannot be mapped
            return torch.empty(*shape, dtype=example.dtype)
        try:
            return _map_file(self.folder, count, example.dtype).view(*shape)
        except OSError as error:
            where = self.place(example)
            raise OSError(
                error.errno,
                f"DiskArchive cannot grow by a file of {count * example.element_size()} bytes in "
                f"{where} ({error.strerror}); what was archived before is unharmed",
            ) from error


def _map_file(folder: str | os.PathLike[str] | None, count: int, dtype: torch.dtype) -> Tensor:
    """[count] numbers in a new file without a name."""
    num_bytes = count * dtype.itemsize
    handle, name = tempfile.mkstemp(prefix="crossframe-", dir=folder)
    try:
        try:
            os.ftruncate(handle, num_bytes)
            mapped = torch.from_file(name, shared=True, size=count, dtype=dtype)
        finally:
            os.unlink(name)
        _reserve(handle, num_bytes)
    finally:
        os.close(handle)
    return mapped


def _reserve(handle: int, num_bytes: int) -> None:
    """Take the disk space now: touching a page that finds no space later ends the process."""
    if sys.platform == "linux":
        os.posix_fallocate(handle, 0, num_bytes)
        return
    start = 0
    while start < num_bytes:
        start += os.pwrite(handle, bytes(min(_CHUNK, num_bytes - start)), start)
