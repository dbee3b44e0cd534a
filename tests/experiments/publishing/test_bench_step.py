"""The bench of a step, on one layer and few frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossframe.experiments.publishing import bench_limits, bench_step, benches
from crossframe.experiments.publishing.bench_step import CASES, Case, main

SMALL = Case("InternVL3-1B", 1, 16, 2, frames=(1, 2, 9), capacities=(20, 40))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_limits, "SIDES", {"cpu": (64,)})
    monkeypatch.setattr(bench_limits, "COPIED", {"cpu": 1 << 20})
    monkeypatch.setattr(bench_step, "CASES", {"cpu": (SMALL,)})


def measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, list[dict[str, object]]]:
    threads = torch.get_num_threads()
    try:
        main(write=tmp_path, repeats=1)
    finally:
        torch.set_num_threads(threads)
    told = json.loads((tmp_path / "frame_time_cpu.json").read_text("utf-8"))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == told
    return told


def test_rows_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = measured(tmp_path, capsys)
    rows = told["rows"]
    names = ["stock", "full", "statekv(16)", "window(1)", "statekv(32)", "window(2)"]
    assert [(row["frame"], row["variant"]) for row in rows] == [
        (frame, name) for frame in (1, 2, 9) for name in names
    ]
    # Two raw frames a step: the ninth is in the fifth.
    assert [row["slots"] for row in rows] == [*[0] * 12, 64, 64, 16, 16, 32, 32]
    assert all(row["turns"] == 1 and row["layers"] == 1 for row in rows)
    positive = ("ms", "limit_ms", "to_limit", "peak_share", "gflop", "mbytes", "to_stock")
    assert not [(row, name) for row in rows for name in positive if not row[name]]
    backends = {row["variant"]: row["backend"] for row in rows}
    assert backends["stock"] == "sdpa of transformers"
    assert (backends["statekv(16)"], backends["full"]) == ("chunked", "sdpa")
    assert {row["variant"] for row in rows if row["to_window"]} == {"statekv(16)", "statekv(32)"}
    assert told["left_out"] == []


def test_what_is_left_out_is_in_the_file_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "free_bytes", lambda place: 0)
    told = measured(tmp_path, capsys)
    # At the first frame nothing is held.
    assert {row["frame"] for row in told["rows"]} == {1, 2}
    left_out = told["left_out"]
    assert [row["variant"] for row in left_out][:2] == ["stock", "full"]
    assert {row["frame"] for row in left_out} == {9}
    assert "80% may be taken" in str(left_out[0]["reason"])


def test_a_gpu_runs_all_layers_of_the_models_that_were_asked_for() -> None:
    cases = {case.of: case for case in CASES["cuda"]}
    assert cases.keys() == {"InternVL3-1B", "InternVL3-2B", "InternVL3-8B", "Qwen3-VL-8B"}
    assert all(case.layers is None for case in cases.values())
    assert cases["InternVL3-8B"].windows() == [1, 4, 16, 63]
    assert cases["Qwen3-VL-8B"].past(3600).tokens == 1799 * 196
