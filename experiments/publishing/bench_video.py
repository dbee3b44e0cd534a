"""From an mp4 to a state that can be asked: milliseconds per frame of each part of the way.

A StateKV watches a file: frames are decoded, encoded by tower and projector, and pass the decoder.
The video is played again from its beginning until there are frames enough. What encoding and steps
took is what the session's costs say. Writes rows as JSON; the last line printed is JSON too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from statistics import median

import torch
from jsonargparse import auto_cli
from torch import Tensor

from ...framework import PlainArchive, StepCost, VideoModel, VideoSession
from ...framework.archives.room import archive_bytes
from ...framework.stream.costs import Timer
from ...framework.stream.origin import FARTHEST
from ...framework.video import stream_video
from ...methods import StateKVMemory
from ...models import load_model
from .benches import Row, dtype_name, lack_of_room, require_device, result_of, write_result
from .random_models import random_internvl3

VIDEO = Path(__file__).parents[1] / "assets" / "demo.mp4"
HOUR = 3600
Load = Callable[[torch.device], VideoModel]
Frame = tuple[Tensor, float]


@dataclass(frozen=True)
class Case:
    """A model that watches.

    Attributes:
        of: the model.
        weights: "trained" or "random".
        frames: that count, behind one that does not.
    """

    of: str
    weights: str
    load: Load
    capacity: int
    frames: int


def _tiny(device: torch.device) -> VideoModel:
    return load_model("crossframe/tiny-internvl3", device=device)


def _real(name: str, dtype: torch.dtype, device: torch.device) -> VideoModel:
    return random_internvl3(name, None, device, dtype)


def _random(name: str, dtype: torch.dtype, capacity: int, frames: int) -> Case:
    return Case(name, "random", partial(_real, name, dtype), capacity, frames)


# On the CPU a frame of InternVL3-1B is 0.9 TFLOP.
CASES = {
    "cpu": (
        Case("crossframe/tiny-internvl3", "trained", _tiny, 54, 59),
        _random("InternVL3-1B", torch.float32, 1036, 2),
    ),
    "cuda": (
        Case("crossframe/tiny-internvl3", "trained", _tiny, 54, 59),
        _random("InternVL3-1B", torch.bfloat16, 4096, HOUR),
        _random("InternVL3-8B", torch.bfloat16, 4096, HOUR),
    ),
}


def main(
    device: str = "cpu", write: Path | None = None, video: Path = VIDEO, fps: float = 1.0
) -> None:
    """Measure, print a table, and write video_time_<device>.json if asked to.

    Args:
        device: "cpu" or "cuda".
        write: folder for the file.
        video: to be watched.
        fps: frames taken per second of it.
    """
    place, rows, left_out = require_device(device), list[Row](), list[Row]()
    torch.set_num_threads(1)
    for case in CASES[device]:
        model = case.load(place)
        row, reason = measure(case, model, video, fps)
        if row is None:
            left_out.append({"of": case.of, "frames": case.frames, "reason": reason})
            print(f"left out {case.of}: {reason}")
        else:
            rows.append(row)
            print(line(row))
    dtypes = [getattr(torch, row["dtype"]) for row in rows]
    settings = {"video": video.name, "fps": fps}
    write_result(result_of(rows, place, dtypes, settings, left_out), f"video_time_{device}", write)


def measure(case: Case, model: VideoModel, video: Path, fps: float) -> tuple[Row | None, str]:
    """A row; or none, and why."""
    frames = islice(repeated(video, fps), case.frames + 1)
    session = VideoSession(
        model, StateKVMemory(case.capacity), max_tokens=FARTHEST, cost_history=None
    )
    session.push(*next(frames))  # warms up, and compiles
    needed = archive_bytes(PlainArchive(), model, session.costs[-1].tokens * case.frames)
    if reason := lack_of_room(needed, model.device):
        return None, f"the archive {reason}"
    read, whole = _watched(session, frames)
    steps = [cost for cost in session.costs if cost.images][-len(read) :]
    return {
        "of": case.of,
        "weights": case.weights,
        "dtype": dtype_name(model.dtype),
        "capacity": case.capacity,
        "backend": steps[-1].attention,
        "frames": len(read),
        "tokens": steps[-1].tokens,
        **_parts(read, steps),
        "whole_ms": round(whole / len(read), 3),
        "frames_per_second": round(1e3 * len(read) / whole, 3),
    }, ""


def repeated(video: Path, fps: float) -> Iterator[Frame]:
    """Frames of a video again and again, decoded each time, and the times of one long stream."""
    turns = chain.from_iterable(stream_video(video, fps=fps) for _ in count())
    for number, (image, _) in enumerate(turns):
        yield image, number / fps


def _watched(session: VideoSession, frames: Iterator[Frame]) -> tuple[list[float], float]:
    """Milliseconds of reading each frame, and of all there is to do for all of them."""
    read, whole = list[float](), Timer(session.model.device)
    begun = time.perf_counter()
    for image, seconds in frames:
        read.append((time.perf_counter() - begun) * 1e3)
        session.push(image, seconds)
        begun = time.perf_counter()
    return read, whole.stop().milliseconds


def _parts(read: Sequence[float], steps: Sequence[StepCost]) -> Row:
    """Medians of each part, and seconds of an hour at a frame per second but for reading it."""
    encode = median(cost.encode_milliseconds for cost in steps)
    step = median(cost.milliseconds for cost in steps)
    return {
        "decode_ms": round(median(read), 3),
        "encode_ms": round(encode, 3),
        "step_ms": round(step, 3),
        "hour_seconds": round(HOUR * (encode + step) / 1e3, 1),
    }


def line(row: Row) -> str:
    """A row for people."""
    return (
        f"{row['of']:>26}  decode {row['decode_ms']} ms  encode {row['encode_ms']} ms  step "
        f"{row['step_ms']} ms  whole {row['whole_ms']} ms  {row['frames_per_second']} frames/s  "
        f"{row['backend']}"
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
