"""Time to first token after an hour of video, by how the archive is kept.

Asks an InternVL3-1B with random weights about archives of many frames, each kind in a process of
its own, see `ask_memory.py`. Writes rows as JSON; the last line printed is JSON too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jsonargparse import auto_cli

from ...framework.archives.room import archive_bytes
from .ask_memory import FRAME_TOKENS, MODEL, archive_named
from .benches import Row, dtype_name, lack_of_room, require_device, result_of, write_result
from .random_models import random_decoder

HOUR = 3600  # frames at one per second


@dataclass(frozen=True)
class Kept:
    """An archive and the model's dtype.

    Attributes:
        frames: of the archive.
    """

    archive: str
    dtype: torch.dtype
    frames: int = HOUR


# On the CPU an answer from a file of an hour would be read from disk, not from memory.
KEPT = {
    "cpu": (
        Kept("int4", torch.float32),
        Kept("int8", torch.float32),
        Kept("plain", torch.float32, HOUR // 4),
        Kept("disk", torch.float32, HOUR // 4),
        Kept("plain", torch.float32),
    ),
    "cuda": tuple(Kept(name, torch.bfloat16) for name in ("plain", "int8", "int4", "cpu", "disk")),
}


def main(
    device: str = "cpu",
    write: Path | None = None,
    folder: Path | None = None,
    frames: int | None = None,
    layers: int | None = None,
) -> None:
    """Measure, print a table, and write ask_time_<device>.json if asked to.

    Args:
        device: "cpu" or "cuda".
        write: folder for the file.
        folder: for files of an archive on disk; a temporary one by default.
        frames: of every archive, instead of an hour or what the device has room for.
        layers: of the decoder; null takes all of InternVL3-1B's.
    """
    place, rows, left_out = require_device(device), list[Row](), list[Row]()
    for kept in KEPT[device]:
        count = frames or kept.frames
        with TemporaryDirectory(dir=folder) as files:
            reason = lack(kept, count, layers, place, Path(files))
            if reason:
                left_out.append({"archive": kept.archive, "frames": count, "reason": reason})
                print(f"left out {kept.archive} of {count} frames: {reason}")
                continue
            rows.append(asked_apart(kept, count, layers, device, Path(files)))
        print(line(rows[-1]))
    dtypes = [kept.dtype for kept in KEPT[device]]
    result = result_of(rows, place, dtypes, {"model": MODEL}, left_out)
    # Each is asked in a process of one thread.
    result["environment"]["threads"] = 1
    write_result(result, f"ask_time_{device}", write)


def lack(kept: Kept, frames: int, layers: int | None, device: torch.device, folder: Path) -> str:
    """Why an archive cannot be held where it is kept; empty if it can."""
    codec = archive_named(kept.archive, folder)
    # On no device: only its sizes are asked.
    model = random_decoder(MODEL, layers, torch.device("meta"), kept.dtype)
    needed = archive_bytes(codec, model, frames * FRAME_TOKENS)
    place = codec.place(torch.empty(0, dtype=kept.dtype, device=device))
    return lack_of_room(needed, place)


def asked_apart(kept: Kept, frames: int, layers: int | None, device: str, folder: Path) -> Row:
    """The row of an archive, measured in a process of its own.

    Raises:
        RuntimeError: if that fails, with what it said.
    """
    module = f"{__package__}.ask_memory"
    command = [sys.executable, "-m", module, "--archive", kept.archive, "--frames", str(frames)]
    command += ["--dtype", dtype_name(kept.dtype), "--device", device, "--folder", str(folder)]
    command += [] if layers is None else ["--layers", str(layers)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"asking an archive of kind {kept.archive!r} failed: {run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def line(row: Row) -> str:
    """A row for people."""
    return (
        f"{row['archive']:>6} {row['frames']} frames {row['archive_bytes'] / 1e9:.2f} GB  first "
        f"token {row['seconds_to_first_token']} s  each further {row['seconds_per_new_token']} s  "
        f"{row['peak_mib']} MiB more  {row['backend']}"
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
