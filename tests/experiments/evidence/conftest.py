"""Rows of a run that never was: what memories lose is set by hand, streams differ by seed."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest

from crossframe.experiments.evidence.results import Results
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.framework import CrossFrameMemory
from crossframe.framework.as_data import plain
from crossframe.methods import (
    FullMemory,
    H2OMemory,
    IsolatedFramesMemory,
    ProtectedSinks,
    RandomMemory,
    RecencyMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TOVAMemory,
)
from crossframe.models import DecoderModel, load_model


@pytest.fixture(scope="session")
def pretrained() -> DecoderModel:
    """The trained text decoder."""
    model = load_model("smollm2-135m", device="cpu")
    assert isinstance(model, DecoderModel)
    return model


@pytest.fixture(scope="module")
def loaded_once(pretrained: DecoderModel) -> Iterator[None]:
    """One model for all runs of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelOptions, "load", lambda self: pretrained)
        yield


SLOT_BYTES = 48_000
LOSES = {  # nats of KL at 128 slots
    "full": 0.0, "isolated": 1.6, "recency": 1.1, "window": 1.05, "random + 4 sinks": 0.2,
    "sinks + recent": 0.15, "statekv": 0.11, "h2o": 0.09, "tova": 0.1101,
}  # fmt: skip
AGES = ("2 frames", "4 frames", "8 frames", "16 frames", "over 16 frames")
COSTS = {"decoder_flops": 255e9, "decoder_ms": 1400.0, "archive_bytes": 49_500_000}
STAMP = {
    "batch": 4,
    "prose": "0123456789ab",
    "commit": "c0ffee",
    "environment": {"cpu": "abacus", "cores": 2, "threads": 1, "torch": "2", "transformers": "5",
                    "dtype": "float32"},
}  # fmt: skip
SUITES = ("prose", "copy", "scene", "needle")


def memories(size: int) -> dict[str, CrossFrameMemory]:
    """Cells of one size; random ones with three seeds."""
    found: dict[str, CrossFrameMemory] = {
        f"recency/{size}": RecencyMemory(size),
        f"window/{size}": SlidingWindowMemory(size // 32),
        f"sinks + recent/{size}": SinksAndRecentMemory(size),
        f"statekv/{size}": StateKVMemory(size),
        f"h2o/{size}": H2OMemory(size),
        f"tova/{size}": TOVAMemory(size),
    }
    for seed in range(3):
        random = ProtectedSinks(RandomMemory(size, seed), tokens=4)
        found[f"random + 4 sinks/{size}/{seed}"] = random
    return found


def row(cell: str, size: int, suite: str, seed: int) -> dict[str, Any]:
    """A stream's row: the memory's loss on top of what the stream is like."""
    label = cell.partition("/")[0]
    stream, noise = Random(f"{suite} {seed}"), Random(f"{cell} {suite} {seed}")
    lost = LOSES[label] * (128 / size) ** 0.5
    lost *= stream.uniform(0.7, 1.3) * noise.uniform(0.95, 1.05)
    names = {"prose": ("second half",), "copy": AGES[:4], "scene": AGES, "needle": ()}[suite]
    groups = {
        name: {
            "loss": 2 + lost * (1 + place),
            "kl": lost * (1 + place),
            "agreement": max(0.0, 1 - lost / 2),
            "count": 10 + place,
        }
        for place, name in enumerate(names)
    }
    found = {
        "cell": cell,
        "question": f"{suite}/judge/1024/{seed}",
        "suite": suite,
        **COSTS,
        **STAMP,
    }
    held = 1025 if label == "full" else 0 if label == "isolated" else size
    found |= {"groups": groups, "tokens": 1025, "state_bytes": SLOT_BYTES * held}
    if suite == "prose":
        found["continuation_kl_archive"] = lost / 4
    if suite == "needle":
        found["needles_right_archive"] = [noise.random() < 0.6 for _ in range(6)]
        found["needles_age"] = [5, 9, 13, 17, 21, 25]
    return found


def results(
    sizes: Sequence[int] = (128,), streams: int = 12, suites: Sequence[str] = SUITES
) -> Results:
    cells: dict[str, CrossFrameMemory] = {
        "full": FullMemory(), "isolated": IsolatedFramesMemory()
    }  # fmt: skip
    for size in sizes:
        cells |= memories(size)
    config = {
        "cells": {name: plain(Cell(memory)) for name, memory in cells.items()},
        "reference": "full",
        "tokens": 1024,
        "half": "judge",
        "model": plain(ModelOptions("smollm2-135m")),
    }

    def rows() -> Iterator[dict[str, Any]]:
        for suite in suites:
            for cell in cells:
                size = int(cell.split("/")[1]) if "/" in cell else 128
                yield from (row(cell, size, suite, seed) for seed in range(streams))

    return Results(list(rows()), config)


@pytest.fixture(name="results", scope="session")
def results_factory() -> Callable[..., Results]:
    return results
