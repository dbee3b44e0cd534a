"""The bench of attention times variants that compute the same, and says what it needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossframe.experiments.publishing import bench_attention
from crossframe.experiments.publishing.bench_attention import (
    PLAIN,
    Heads,
    Sizes,
    main,
    variants,
)
from crossframe.framework.attention.attend import Attended

TINY = Sizes(("flex", "chunked", "sdpa"), (Heads("tiny", 4, 2, 16),), (5,), torch.float32)


def test_all_variants_compute_the_same_output_and_mass() -> None:
    ran = {
        name: run()
        for name, (_, run) in variants(TINY.models[0], 5, TINY, torch.device("cpu")).items()
    }
    expected = ran.pop("chunked with mass")
    assert isinstance(expected, Attended)
    assert ran.keys() == {PLAIN, "flex with mass", "sdpa with mass", "float32 two-pass", "eager"}
    for name, got in ran.items():
        assert isinstance(got, tuple)
        torch.testing.assert_close(got[0], expected.output, atol=1e-5, rtol=1e-5)
        if name != PLAIN:
            torch.testing.assert_close(got[1], expected.mass, atol=1e-4, rtol=1e-4)


def test_rows_name_the_backend_that_ran(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_attention, "SIZES", {"cpu": TINY})
    threads = torch.get_num_threads()
    try:
        main(write=tmp_path, repeats=2)
    finally:
        torch.set_num_threads(threads)
    told = json.loads((tmp_path / "attention_time_cpu.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == told
    ran = {row["variant"]: row["backend"] for row in told["rows"]}
    assert ran[PLAIN] == "sdpa"
    assert [ran[f"{name} with mass"] for name in TINY.backends] == list(TINY.backends)
    assert all(row["ms"] > 0 and row["dtype"] == "float32" for row in told["rows"])
    assert {row["to_plain"] for row in told["rows"] if row["variant"] == PLAIN} == {1.0}
    assert told["environment"]["torch"] == torch.__version__
