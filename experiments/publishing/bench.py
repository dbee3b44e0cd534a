"""Milliseconds per frame against video length: memories beside the stock model's own streaming.

Every variant sees the same frames in one process, in turn, so that a noisy machine disturbs all
alike. The stock model streams with its own cache and sdpa; full attention here should cost about
the same. Writes rows as JSON; the last line printed is JSON too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jsonargparse import auto_cli
from torch import Tensor
from transformers import DynamicCache

from ...framework import CrossFrameMemory, FullMemory, VideoSession
from ...methods import SlidingWindowMemory, StateKVMemory
from ...models import DecoderModel
from ...models.cache_layers import cache_argument
from ...models.tiny import tiny_qwen2
from ..streaming.environment import environment
from .benches import milliseconds, write_result


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


STOCK = "stock sdpa"
CPU = torch.device("cpu")
Push = Callable[[Tensor], None]


def variants(model: DecoderModel, settings: BenchSettings) -> dict[str, Callable[[], Push]]:
    """What is timed: each makes a fresh stream and returns its push."""
    window = settings.capacity // settings.tokens_per_frame
    memories: dict[str, CrossFrameMemory] = {
        "full": FullMemory(),
        f"statekv({settings.capacity})": StateKVMemory(settings.capacity),
        f"window({window})": SlidingWindowMemory(window),
    }
    made = {name: partial(_session, model, memory) for name, memory in memories.items()}
    return {STOCK: partial(_stock, model), **made}


def measure(model: DecoderModel, settings: BenchSettings) -> list[dict[str, object]]:
    """One row per variant: the median ms of each quarter of the stream, over all repeats, and of
    the last quarter beside the stock model, frame by frame in the same repeat, so that drift of the
    machine cancels."""
    generator = torch.Generator().manual_seed(0)
    shape = (settings.frames, 1, settings.tokens_per_frame)
    frames = torch.randint(0, 400, shape, generator=generator)
    taken: list[dict[str, float]] = []
    for _ in range(settings.repeats):
        streams = {name: make() for name, make in variants(model, settings).items()}
        for number, frame in enumerate(frames):
            quarter = min(number // (settings.frames // 4), 3)
            took = {n: milliseconds(partial(p, frame), CPU) for n, p in streams.items()}
            taken.append({"quarter": quarter, **took})
    times = pd.DataFrame(taken).set_index("quarter")
    medians, last = times.groupby("quarter").median().round(2), times.loc[[3]]
    ratios = last.div(last[STOCK], axis=0).median().round(3)
    return [
        {
            "variant": name,
            "ms_by_quarter": medians[name].tolist(),
            "last_quarter_to_stock": float(ratios[name]),
        }
        for name in times
    ]


def main(
    write: Path | None = None,
    frames: int = BenchSettings.frames,
    repeats: int = BenchSettings.repeats,
) -> None:
    """Measure, print a table, and write docs/results/frame_latency.json if asked to.

    Args:
        write: folder for frame_latency.json.
    """
    # One thread: two that wait for each other on a shared machine measure the waiting.
    torch.set_num_threads(1)
    settings = BenchSettings(frames=frames, repeats=repeats)
    sizes = ("layers", "hidden", "heads", "kv_heads")
    model = DecoderModel(tiny_qwen2(**{name: getattr(settings, name) for name in sizes}))
    rows = measure(model, settings)
    result = {"settings": asdict(settings), "environment": environment(model), "rows": rows}
    for row in rows:
        print(
            f"{row['variant']:>16}  ms per frame by quarter {row['ms_by_quarter']}  "
            f"last quarter / stock {row['last_quarter_to_stock']}"
        )
    write_result(result, "frame_latency", write)


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
    auto_cli(main, as_positional=False)
