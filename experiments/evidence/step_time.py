"""What a step of each memory takes beside StateKV's, on a real decoder, at a full state.

python -m crossframe.experiments.evidence.step_time --output step_time.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch
from jsonargparse import auto_cli

from ...framework import CrossFrameMemory, VideoSession
from ...methods import (
    H2OMemory,
    PredictedChangeMemory,
    SinksAndRecentMemory,
    StateKVMemory,
    WeightStatisticMemory,
)
from ...models import DecoderModel
from ..streaming.environment import commit, machine, one_thread
from ..streaming.options import ModelOptions
from .suites import FRAME_TOKENS

STEPS = 16  # measured, after the state is full
SIZES = ((1, "float32"), (8, "float32"), (1, "bfloat16"), (8, "bfloat16"))  # streams, dtype


def memories(capacity: int) -> dict[str, CrossFrameMemory]:
    """Those that are timed, StateKV first."""
    return {
        "statekv": StateKVMemory(capacity),
        "sinks + recent": SinksAndRecentMemory(capacity),
        "h2o": H2OMemory(capacity),
        "output change": WeightStatisticMemory(capacity, "output_change"),
        "predicted change": PredictedChangeMemory(capacity),
    }


def step_times(model: DecoderModel, streams: int, capacity: int) -> list[dict[str, Any]]:
    """Milliseconds of one thread's own time per step and memory, medians over steps that the
    memories take in turn, and as a share of StateKV's."""
    sessions = {name: VideoSession(model, memory) for name, memory in memories(capacity).items()}
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    generator = torch.Generator().manual_seed(0)
    for _ in range(capacity // FRAME_TOKENS + 2 + STEPS):
        ids = torch.randint(model.spec.vocab, (streams, FRAME_TOKENS), generator=generator)
        for name, session in sessions.items():
            frame = model.frame(ids, session.cursor)
            begun = process_time()
            session.push(frame)
            taken[name].append(1000 * (process_time() - begun))
    medians = {name: median(times[-STEPS:]) for name, times in taken.items()}
    return [
        {"memory": name, "ms": round(time, 2), "to_statekv": round(time / medians["statekv"], 3)}
        for name, time in medians.items()
    ]


def times_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: memories down, sizes across, as shares of StateKV's time."""
    heads = ["memory"]
    heads += [f"{one['streams']} stream(s), {one['dtype']}" for one in result["sizes"]]
    names = [row["memory"] for row in result["sizes"][0]["rows"]]
    cells = [[name] for name in names]
    for one in result["sizes"]:
        for line, row in zip(cells, one["rows"], strict=True):
            line.append(f"{row['to_statekv']:.2f} ({row['ms']:.0f} ms)")
    return heads, cells


def main(output: Path, model: str = "smollm2-135m", capacity: int = 128) -> None:
    """Time every size on one thread, and write all."""
    dtypes = " and ".join(dict.fromkeys(dtype for _, dtype in SIZES))
    with one_thread():
        environment = {**machine(torch.device("cpu")), "dtype": dtypes, "commit": commit()}
        sizes = [_timed(model, *size, capacity) for size in SIZES]
    content = {"capacity": capacity, "environment": environment, "sizes": sizes}
    output.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _timed(name: str, streams: int, dtype: str, capacity: int) -> dict[str, Any]:
    model = ModelOptions(name, device="cpu", dtype=dtype).load()
    if not isinstance(model, DecoderModel):
        raise SystemExit(f"{name} is not a text decoder: take smollm2-135m")
    return {"streams": streams, "dtype": dtype, "rows": step_times(model, streams, capacity)}


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
