"""A folder that is written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder that becomes `path` when the block ends well.

    Until then it lies beside it under a name of its own (`.crossframe-….partial`). After an error
    nothing has changed; a process that is killed leaves its partial folder behind.

    Raises:
        ValueError: if `path` is anything but missing or an empty folder, before the block as well
            as after it.
        OSError: if the disk takes no more or its folder may not be written to.
    """
    target = Path(path)
    _require_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".crossframe-{secrets.token_hex(8)}.partial")
    partial.mkdir()
    try:
        yield partial
        _require_free(target)
        os.replace(partial, target)  # of an empty folder too
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _require_free(target: Path) -> None:
    name = repr(str(target))
    if os.path.lexists(target) and not target.is_dir():
        raise ValueError(f"{name} is a file: give a folder that does not exist yet, or is empty")
    if target.is_dir() and any(target.iterdir()):
        raise ValueError(f"{name} is in use: give a folder that does not exist yet, or is empty")
