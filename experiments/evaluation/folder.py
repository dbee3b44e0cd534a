"""The folder of a run: its configuration, one run at a time, resumed only where rows stay valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...framework.files.whole_file import whole_file

CONFIG = "config.json"
Config = Mapping[str, Any]


def config_hash(config: Config, digits: int = 12) -> str:
    """Hexadecimal digits that name a configuration, or other plain data, however it is laid out."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:digits]


def cell_hashes(config: Config) -> dict[str, str]:
    """What names the configuration of each cell's rows: the cell, the reference it is compared
    with, and all that is no cell. So cells can be added without touching others' rows."""
    cells, reference = config["cells"], config.get("reference")

    def alone(cell: str) -> Config:
        return {**config, "cells": {n: cells[n] for n in cells if n in (cell, reference)}}

    return {cell: config_hash(alone(cell)) for cell in cells}


@contextmanager
def run_folder(folder: Path, config: Config, rank: int = 0, world: int = 1) -> Iterator[Config]:
    """Hold one process's place in the folder; the lock ends with the process, however that ends.

    Args:
        config: of the run, as plain data; the first process writes it.
        rank, world: number of the process, and how many there are.

    Yields:
        The configuration as the first run wrote it, with the cells that were added since.

    Raises:
        ValueError: if another run writes here, or one with another configuration has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder, rank):
        written = resumed_config(folder, config)
        if rank == 0:
            _require_no_stragglers(folder, world)
            write_json(folder / CONFIG, written)
        yield written


def resumed_config(folder: Path, config: Config) -> Config:
    """The configuration as an earlier run wrote it (1 and 1.0 are the same setting with two
    hashes), with the cells that are new; without an earlier run's rows, the given one: a run that
    ended over a wrong setting binds nobody.

    Raises:
        ValueError: if the folder holds results of another one, naming what changed.
    """
    before = _written(folder)
    if before is None or not any(path.stat().st_size for path in folder.glob("rows-*.jsonl")):
        return config
    now = json.loads(json.dumps(config))  # lists for tuples, as in the file
    known = {name: cell for name, cell in now["cells"].items() if name in before["cells"]}
    # Our classes are the same wherever in crossframe they were when the folder was begun.
    changed = _differences(_unmoved(before), _unmoved({**now, "cells": known}))
    if changed:
        raise ValueError(
            f"{folder} holds results of another configuration ({'; '.join(changed)}): give another "
            "output folder, or the same configuration to resume; only cells may be added"
        )
    return {**before, "cells": {**now["cells"], **before["cells"]}}


def wait_for_others(folder: Path, world: int) -> None:
    """Return when no other process of this run is at work any more, dead ones included.

    Locks instead of a barrier: the processes end hours apart, where barriers run into time limits.
    """
    for rank in range(1, world):
        with FileLock(_lock_path(folder, rank), poll_interval=0.2):
            pass


def read_json(path: Path, remedy: str) -> Config:
    """A file that holds a JSON object.

    Raises:
        ValueError: for one that does not, naming it and the remedy.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {str(content)[:40]!r}, no JSON object: {remedy}")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or, if killed, not at all."""
    with whole_file(path) as file:
        file.write(f"{json.dumps(content, indent=2)}\n".encode())


@contextmanager
def _held(folder: Path, rank: int) -> Iterator[None]:
    try:
        lock = FileLock(_lock_path(folder, rank)).acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"another run is writing to {folder} (its process number {rank} is at work): wait for "
            "it, or give another output folder"
        ) from error
    with lock:
        yield


def _require_no_stragglers(folder: Path, world: int) -> None:
    """Processes of an earlier run may have outlived its first one."""
    numbers = (int(path.stem.removeprefix("rank-")) for path in folder.glob("rank-*.lock"))
    for number in numbers:
        if number >= world:
            with _held(folder, number):
                pass


def _lock_path(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.lock"


def _written(folder: Path) -> Config | None:
    """The configuration of earlier runs, if there were any."""
    path = folder / CONFIG
    if not path.is_file():
        return None
    remedy = "delete it if the rows beside it may stay"
    written = read_json(path, remedy)
    if not isinstance(written.get("cells"), dict):
        raise ValueError(f"{path} says nothing of cells: {remedy}")
    return written


def _unmoved(value: Any) -> Any:
    """Plain data with our classes by name alone; nothing is imported."""
    if isinstance(value, list):
        return [_unmoved(part) for part in value]
    if not isinstance(value, dict):
        return value
    parts = {name: _unmoved(part) for name, part in value.items()}
    path = parts.get("class_path")
    if isinstance(path, str) and path.startswith("crossframe."):
        parts["class_path"] = path.rpartition(".")[2]
    return parts


def _differences(before: Any, now: Any, where: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        names = sorted(before.keys() | now.keys())
        return [
            text
            for name in names
            for text in _differences(before.get(name), now.get(name), f"{where}.{name}".lstrip("."))
        ]
    return [] if before == now else [f"{where} was {before!r}, is {now!r}"]
