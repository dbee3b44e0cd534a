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
        assert row["tokens"] == 2048
        assert row["archive_bytes"] > 0.005 * 2**30
        assert row["seconds_to_first_token"] > 0
    torch.set_num_threads(threads)
