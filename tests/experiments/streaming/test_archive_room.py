"""Frames are given where the archives of all of them fit, and else none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossframe.experiments.streaming.archive_room import with_archive_room
from crossframe.experiments.streaming.frames import VideoFrames
from crossframe.experiments.streaming.options import StreamOptions
from crossframe.framework import FullMemory, Int8Archive, PlainArchive, VideoModel, VideoSession
from crossframe.framework.archives.room import archive_bytes
from crossframe.models import InternVL3, Qwen3VL
from crossframe.models.tiny import tiny_internvl, tiny_qwen3_vl

FREE = "crossframe.framework.archives.room.free_bytes"
MODELS: list[VideoModel] = [
    InternVL3(*tiny_internvl()),
    Qwen3VL(*tiny_qwen3_vl(), planned_frames=12),
]


def frames_of(video: Path) -> VideoFrames:
    return VideoFrames(video, StreamOptions())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_room_is_asked_for_what_a_session_will_keep(
    model: VideoModel, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = list(frames_of(video))
    session = VideoSession(model, FullMemory(), max_tokens=9999)
    session.push([image for image, _ in plain], [time for _, time in plain])
    tokens = session.cursor.tokens
    assert session.archive.codec == PlainArchive()

    monkeypatch.setattr(FREE, lambda place: archive_bytes(PlainArchive(), model, tokens))
    given = list(with_archive_room(frames_of(video), model, [PlainArchive()]))
    assert [time for _, time in given] == [time for _, time in plain]
    assert all(torch.equal(one, other) for (one, _), (other, _) in zip(given, plain, strict=True))

    monkeypatch.setattr(FREE, lambda place: archive_bytes(PlainArchive(), model, tokens) * 9 // 10)
    list(with_archive_room(frames_of(video), model, [Int8Archive()]))
    for codecs in ([PlainArchive()], [Int8Archive()] * 4):
        with pytest.raises(ValueError, match=rf"{len(codecs)} archive\(s\) of a stream of \d+ tok"):
            next(with_archive_room(frames_of(video), model, codecs))


def test_a_stream_without_a_known_end_passes(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FREE, lambda place: 0)
    frames = frames_of(video)
    frames.duration = float("inf")
    next(with_archive_room(frames, MODELS[0], [PlainArchive()]))
    assert frames.taken == 1  # and it gives what it has
