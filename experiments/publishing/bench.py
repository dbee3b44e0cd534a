"""Milliseconds per frame against video length: memories beside the stock model's own streaming.

Every variant sees the same frames in one process, in turn, so that a noisy machine disturbs all
alike. The stock model streams with its own cache and sdpa; full attention here should cost about
the same. Writes rows as JSON; the last line printed is JSON too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from transformers import DynamicCache

from ...framework import CrossFrameMemory, FullMemory, VideoSession
from ...methods import SlidingWindowMemory, StateKVMemory
from ...models import DecoderModel
from ...models.hf import cache_argument
from ...models.tiny import tiny_qwen2
from ..streaming.environment import environment


@dataclass(frozen=True)
class BenchSettings:
    """A decoder small enough for two cores, with frames as large as InternVL3's."""

    layers: int = 4
    hidden: int = 256
    heads: int = 8
    kv_heads: int = 2
    tokens_per_frame: int = 259
    frames: int = 48
    capacity: int = 1036
    repeats: int = 3


Push = Callable[[Tensor], None]


def decoder(settings: BenchSettings) -> DecoderModel:
    """The decoder that is timed."""
    return DecoderModel(
        tiny_qwen2(
            layers=settings.layers,
            hidden=settings.hidden,
            heads=settings.heads,
            kv_heads=settings.kv_heads,
        )
    )


def variants(model: DecoderModel, settings: BenchSettings) -> dict[str, Callable[[], Push]]:
    """What is timed: each makes a fresh stream and returns its push."""
    window = settings.capacity // settings.tokens_per_frame
    memories: dict[str, CrossFrameMemory] = {
        "full": FullMemory(),
        f"statekv({settings.capacity})": StateKVMemory(settings.capacity),
        f"window({window})": SlidingWindowMemory(window),
    }
    made: dict[str, Callable[[], Push]] = {"stock sdpa": lambda: _stock(model)}
    for name, memory in memories.items():
        made[name] = lambda memory=memory: _session(model, memory)
    return made


def measure(model: DecoderModel, settings: BenchSettings) -> list[dict[str, object]]:
    """One row per variant: the median ms of each quarter of the stream, over all repeats."""
    times: dict[str, list[list[float]]] = {name: [] for name in variants(model, settings)}
    generator = torch.Generator().manual_seed(0)
    shape = (settings.frames, 1, settings.tokens_per_frame)
    frames = torch.randint(0, 400, shape, generator=generator)
    for _ in range(settings.repeats):
        streams = {name: make() for name, make in variants(model, settings).items()}
        runs: dict[str, list[float]] = {name: [] for name in streams}
        for frame in frames:
            for name, push in streams.items():
                start = time.perf_counter()
                push(frame)
                runs[name].append((time.perf_counter() - start) * 1e3)
        for name, run in runs.items():
            times[name].append(run)
    return [_row(name, runs, times["stock sdpa"]) for name, runs in times.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write docs/results/frame_latency.json if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="folder for frame_latency.json")
    parser.add_argument("--frames", type=int, default=BenchSettings.frames)
    parser.add_argument("--repeats", type=int, default=BenchSettings.repeats)
    options = parser.parse_args(arguments)
    # One thread: two that wait for each other on a shared machine measure the waiting.
    torch.set_num_threads(1)
    settings = BenchSettings(frames=options.frames, repeats=options.repeats)
    model = decoder(settings)
    rows = measure(model, settings)
    result = {"settings": asdict(settings), "environment": environment(model), "rows": rows}
    for row in rows:
        print(
            f"{row['variant']:>16}  ms per frame by quarter {row['ms_by_quarter']}  "
            f"last quarter / stock {row['last_quarter_to_stock']}"
        )
    if options.write:
        target = options.write / "frame_latency.json"
        target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


def _row(name: str, runs: list[list[float]], stock: list[list[float]]) -> dict[str, object]:
    quarter = len(runs[0]) // 4
    parts = [
        round(median(ms for run in runs for ms in run[n * quarter : (n + 1) * quarter]), 2)
        for n in range(4)
    ]
    # Frame by frame against the stock model in the same repeat: drift of the machine cancels.
    ratios = [
        ms / base
        for run, stock_run in zip(runs, stock, strict=True)
        for ms, base in zip(run[3 * quarter :], stock_run[3 * quarter :], strict=True)
    ]
    return {
        "variant": name,
        "ms_by_quarter": parts,
        "last_quarter_to_stock": round(median(ratios), 3),
    }


def _session(model: DecoderModel, memory: CrossFrameMemory) -> Push:
    session = VideoSession(model, memory)

    def push(ids: Tensor) -> None:
        session.push(model.frame(ids, session.cursor))

    return push


def _stock(model: DecoderModel) -> Push:
    cache = {cache_argument(): DynamicCache()}

    def push(ids: Tensor) -> None:
        with torch.no_grad():
            model.decoder(input_ids=ids, use_cache=True, **cache)

    return push


if __name__ == "__main__":
    main()
