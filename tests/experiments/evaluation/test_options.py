"""What may be asked for, and which settings make another run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.framework import FullMemory

from .conftest import MakeOptions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": {}}, "cells must name at least one cell"),
        ({"reference": "ful"}, "reference 'ful' is no cell; cells are full, statekv"),
        ({"limit": 0}, "limit must be an integer of at least 1"),
        ({"cells_at_once": 0}, "cells_at_once must be an integer of at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens must be an integer of at least 1"),
        ({"max_tokens": -1}, "max_tokens must be an integer of at least 1"),
        ({"model": ModelOptions("x", device="cuda:1")}, "leave it out and set trainer.accelerator"),
        ({"generation": {"max_new_tokens": 9}}, "an option of its own"),
    ],
)
def test_what_cannot_work_is_refused(
    changes: dict[str, Any], message: str, options: MakeOptions
) -> None:
    with pytest.raises(ValueError, match=f"evaluate: .*{message}"):
        options(**changes)


@pytest.mark.parametrize("name", ["custom_generate", "trust_remote_code"])
def test_a_run_does_not_generate_by_code_of_a_folder(name: str, options: MakeOptions) -> None:
    with pytest.raises(ValueError, match=f"{name}='x/y' runs code of a folder or the hub.*: leave"):
        options(generation={name: "x/y"})


def test_settings_that_decide_about_rows_make_the_run(options: MakeOptions) -> None:
    chosen = options()
    rows = {
        "model": replace(chosen.model, layout="video_first"),
        "benchmark": replace(chosen.benchmark, prompt="official"),
        "cells": {**chosen.cells, "full": Cell(FullMemory(), frames_per_step=2)},
        "sampling": FrameSampling(1.0),
        "reference": "full",
        "max_new_tokens": 9,
        "max_tokens": 999,
        "generation": {"do_sample": True},
        "seed": 1,
        "limit": 1,
    }
    beside = {
        "output": Path("elsewhere"),
        "cells_at_once": 1,
        "strict": True,
        "retry": True,
        "trainer": {"devices": 2},
    }
    for name, value in rows.items():
        assert replace(chosen, **{name: value}).identity != chosen.identity, name
    for name, value in beside.items():
        assert replace(chosen, **{name: value}).identity == chosen.identity, name
    assert rows.keys() | beside.keys() == vars(chosen).keys()
    assert json.loads(json.dumps(chosen.identity)) == chosen.identity


def test_a_reply_is_as_long_as_asked_for_or_as_the_benchmark_allows(options: MakeOptions) -> None:
    assert options().reply_tokens == 4
    assert options(max_new_tokens=None).reply_tokens == options().benchmark.max_new_tokens == 128
