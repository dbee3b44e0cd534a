"""Steps are timed in turn, and told as shares of StateKV's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.experiments.evidence import step_time
from crossframe.experiments.evidence.step_time import memories, step_times, times_table
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2


def test_every_memory_has_a_time_and_statekv_is_the_measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ModelOptions, "load", lambda self: DecoderModel(tiny_qwen2()))
    monkeypatch.setattr(step_time, "SIZES", ((1, "float32"), (2, "float32")))
    step_time.main(tmp_path / "out.json", capacity=32)
    told = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [one["streams"] for one in told["sizes"]] == [1, 2]
    for one in told["sizes"]:
        assert [row["memory"] for row in one["rows"]] == list(memories(32))
        assert one["rows"][0]["to_statekv"] == 1 and all(row["ms"] > 0 for row in one["rows"])
    heads, cells = times_table(told)
    assert heads == ["memory", "1 stream(s), float32", "2 stream(s), float32"]
    assert cells[0][0] == "statekv" and cells[0][1].startswith("1.00 (")


def test_times_are_of_full_states(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(step_time, "process_time", lambda: next(ticks) / 1000)
    rows = step_times(DecoderModel(tiny_qwen2()), 1, 32)
    assert {row["ms"] for row in rows} == {1.0}


def test_a_model_that_reads_no_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ModelOptions, "load", lambda self: object())
    with pytest.raises(SystemExit, match="is not a text decoder: take smollm2-135m"):
        step_time.main(tmp_path / "out.json")
