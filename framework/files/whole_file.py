"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well.

    Until then it lies beside it under a name of its own (`.crossframe-….partial`), made for this
    writer alone: it follows no link, touches no file that was there, and of two writers the later
    one's whole file stays. It has the permissions that new files get here. After an error nothing
    has changed; a process that is killed leaves its partial file behind.

    Raises:
        ValueError: if `path` is a folder or a device, or its folder does not exist.
        OSError: naming `path`, if the disk takes no more or the folder may not be written to.
    """
    target = Path(path)
    require_replaceable(target)
    partial = target.with_name(f".crossframe-{secrets.token_hex(8)}.partial")
    try:
        try:
            with open(partial, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.filename not in (None, str(partial)):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def require_replaceable(target: Path) -> None:
    """Refuse a path that no file can be put at, before anything is written."""
    name = repr(str(target))  # in one line, whatever is in it
    if "\0" in str(target):
        raise ValueError(f"{name:.200} has a NUL in it: give another path")
    try:
        mode = os.stat(target).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not target.parent.is_dir():
            raise ValueError(
                f"{name} cannot be written, there is no such folder: make it first"
            ) from None
        return
    if stat.S_ISDIR(mode):
        raise ValueError(f"{name} is a folder: give the path of a file to write")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name} is a device or pipe, not a file: give another path")
