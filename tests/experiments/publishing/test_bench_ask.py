"""The bench of questions after an hour runs every archive in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from crossframe.experiments.publishing import bench_ask
from crossframe.experiments.publishing.bench_ask import KEPT, Kept, asked_apart, main

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads memory from /proc, which is missing here"
)


@needs_proc
def test_rows_are_written_and_what_has_no_room_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = (Kept("disk", torch.bfloat16, 2), Kept("plain", torch.float32, 10**9))
    monkeypatch.setattr(bench_ask, "KEPT", {"cpu": kept})
    main(write=tmp_path, folder=tmp_path, layers=1)
    told = json.loads((tmp_path / "ask_time_cpu.json").read_text("utf-8"))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == told
    (row,) = told["rows"]
    assert (row["archive"], row["frames"], row["tokens"]) == ("disk", 2, 518)
    assert (row["dtype"], row["device"], row["layers"]) == ("bfloat16", "cpu", 1)
    assert row["backend"] == "chunked"
    assert row["seconds_to_first_token"] > 0
    (lack,) = told["left_out"]
    assert (lack["archive"], lack["frames"]) == ("plain", 10**9)
    assert "80% may be taken" in lack["reason"]
    assert [path.name for path in tmp_path.iterdir()] == ["ask_time_cpu.json"]


def test_a_process_that_fails_says_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(RuntimeError, match="archive of kind 'int4' failed: no memory"):
        asked_apart(Kept("int4", torch.float32), 1, 1, "cpu", tmp_path)


def test_every_archive_is_asked_after_an_hour_on_a_gpu() -> None:
    assert {kept.archive for kept in KEPT["cuda"]} == {"plain", "int8", "int4", "cpu", "disk"}
    assert {kept.frames for kept in KEPT["cuda"]} == {3600}
