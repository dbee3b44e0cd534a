"""The bench from a file to a state tells every part of the way."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from crossframe.experiments.publishing import bench_video, benches
from crossframe.experiments.publishing.bench_video import Case, main, repeated
from crossframe.experiments.publishing.small_benchmarks import write_clip
from crossframe.framework import VideoModel
from crossframe.models import InternVL3
from crossframe.models.tiny.internvl3 import tiny_internvl


def load(device: torch.device) -> VideoModel:
    del device
    return InternVL3(*tiny_internvl())


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    case = Case("tiny", "random", load, capacity=12, frames=4)
    monkeypatch.setattr(bench_video, "CASES", {"cpu": (case,)})
    write_clip(tmp_path / "clip.mp4", ["Red", "Blue"], seconds=2)
    return tmp_path / "clip.mp4"


def measured(clip: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    threads = torch.get_num_threads()
    try:
        main(write=clip.parent, video=clip)
    finally:
        torch.set_num_threads(threads)
    told = json.loads((clip.parent / "video_time_cpu.json").read_text("utf-8"))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == told
    return told


def test_a_row_has_every_part_and_names_the_backend(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = measured(clip, capsys)
    (row,) = told["rows"]
    assert (row["of"], row["frames"], row["backend"]) == ("tiny", 4, "chunked")
    parts = ("decode_ms", "encode_ms", "step_ms", "whole_ms", "frames_per_second", "hour_seconds")
    assert not [name for name in parts if not float(str(row[name])) > 0]
    assert told["video"] == "clip.mp4"


def test_an_archive_without_room_is_left_out(
    clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "free_bytes", lambda place: 100)
    told = measured(clip, capsys)
    assert told["rows"] == []
    (lack,) = told["left_out"]
    assert lack["of"] == "tiny"
    assert "the archive needs 0.0 GB, of 0.0 GB that are free 80% may be taken" in str(
        lack["reason"]
    )


def test_a_video_is_played_again_with_times_that_go_on(clip: Path) -> None:
    frames = list(islice(repeated(clip, 1.0), 5))
    assert [seconds for _, seconds in frames] == [0, 1, 2, 3, 4]
    assert torch.equal(torch.as_tensor(frames[0][0]), torch.as_tensor(frames[2][0]))
    assert not torch.equal(torch.as_tensor(frames[0][0]), torch.as_tensor(frames[1][0]))
