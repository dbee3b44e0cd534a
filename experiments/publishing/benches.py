"""What all benches share: device, clock, what their rows say of themselves, and the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...framework.archives.room import free_bytes
from ...framework.stream.costs import Timer
from ..streaming.environment import commit, machine

DEVICES = ("cpu", "cuda")
# Of the free memory, what may be taken: the rest is for activations.
USABLE = 0.8
Row = dict[str, Any]


def require_device(device: str) -> torch.device:
    """A device that the benches know and that is there.

    Raises:
        ValueError: for another.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {DEVICES}, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device='cuda' needs an NVIDIA GPU, and torch sees none here: run `make bench-gpu` "
            "on a machine that has one; `make bench` times the CPU"
        )
    return torch.device(device)


@torch.no_grad()
def milliseconds(run: Callable[[], object], device: torch.device) -> float:
    """Time of one run; on CUDA by events, until its last kernel has ended."""
    timer = Timer(device)
    run()
    return timer.stop().milliseconds


def lack_of_room(num_bytes: int, place: torch.device | str) -> str:
    """Why so many bytes cannot be held on a device or in a folder; empty if they can."""
    free = free_bytes(place)
    if free is None or num_bytes <= USABLE * free:
        return ""
    return (
        f"needs {num_bytes / 1e9:.1f} GB, of {free / 1e9:.1f} GB that are free {USABLE:.0%} may be "
        "taken"
    )


def dtype_name(dtype: torch.dtype) -> str:
    """As people write it: "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def result_of(
    rows: Sequence[Row],
    device: torch.device,
    dtypes: Sequence[torch.dtype],
    settings: Mapping[str, Any],
    left_out: Sequence[Row] = (),
) -> dict[str, Any]:
    """Rows with where they were measured, and how busy that was: the load average of the last five
    minutes, of which 1 is the bench's own.

    Args:
        left_out: what was not measured, each with its `reason`.
    """
    names = " and ".join(dict.fromkeys(map(dtype_name, dtypes)))
    stamp: dict[str, Any] = {**machine(device), "dtype": names, "commit": commit()}
    stamp["load"] = round(os.getloadavg()[1], 1)
    return {**settings, "environment": stamp, "rows": rows, "left_out": left_out}


def write_result(result: Mapping[str, Any], name: str, write: Path | None) -> None:
    """Print a result as one line of JSON, and write <name>.json into a folder if one is given."""
    if write:
        write.mkdir(parents=True, exist_ok=True)
        (write / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result))
