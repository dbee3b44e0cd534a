"""Where a number came from: machine, versions, commit, date."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ...framework import VideoModel


def environment(model: VideoModel) -> dict[str, str | int | None]:
    """The stamp that every published row carries."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {**machine_of(model), "commit": commit(), "date": date}


def machine_of(model: VideoModel) -> dict[str, str | int | None]:
    """What computes a model, and in which numbers."""
    return {**machine(model.device), "dtype": str(model.dtype).removeprefix("torch.")}


def machine(device: torch.device) -> dict[str, str | int | None]:
    """What computes on a device, and the versions of what it runs."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "device": str(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": installed("transformers"),
        "crossframe": installed("crossframe"),
    }


def cpu_model() -> str:
    """The processor's name as its maker writes it, or its architecture where none is told."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """This checkout's commit, with `-dirty` if files differ; None where git does not track it."""
    # A wheel may lie inside somebody else's repository, whose commit would say nothing.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip() or None


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny products on one core.

    Several threads gain nothing here and wait for one another where the cores are busy: on two
    cores with three other busy processes a comparison of five memories took 77 s with two threads,
    16 s with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
