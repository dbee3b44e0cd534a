"""The bench of questions about long archives tells bytes and times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossframe.experiments.publishing.ask_memory import main

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads memory from /proc, which is missing here"
)


@needs_proc
def test_a_row_tells_what_was_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    for kind in ("int8", "disk"):
        main(kind, gib=0.0005, new_tokens=2, folder=tmp_path, layers=1)
        row = json.loads(capsys.readouterr().out)
        assert row["archive"] == kind
        assert row["tokens"] == 259 * row["frames"]
        assert row["archive_bytes"] > 0.0005 * 2**30
        assert (row["device"], row["dtype"], row["backend"]) == ("cpu", "float32", "chunked")
        assert row["seconds_to_first_token"] > 0
    torch.set_num_threads(threads)


@needs_proc
def test_frames_and_dtype_take_the_place_of_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    main("plain", frames=3, new_tokens=2, dtype="bfloat16", layers=2)
    row = json.loads(capsys.readouterr().out)
    assert (row["frames"], row["tokens"], row["layers"]) == (3, 777, 2)
    # Keys and values of two heads of 64 numbers, and room to grow.
    assert 777 * 2 * 2 * 2 * 64 * 2 < row["archive_bytes"] < 4 * 777 * 2 * 2 * 2 * 64 * 2
    torch.set_num_threads(threads)


def test_an_unknown_archive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"archive must be one of \('plain', .*\), got 'tape'"):
        main("tape")
