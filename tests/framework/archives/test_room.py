"""Archives that will not fit are refused before a stream begins."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.framework import (
    Archive,
    CPUArchive,
    DiskArchive,
    FullMemory,
    Int4Archive,
    Int8Archive,
    NoArchive,
    PlainArchive,
)
from crossframe.framework.archives.room import archive_bytes, free_bytes, require_room
from crossframe.framework.reference import ReferenceDecoder

from ..streams import pushed

MODEL = ReferenceDecoder()
ROOM = "crossframe.framework.archives.room"


@pytest.mark.parametrize(
    "archive", [PlainArchive(), CPUArchive(inner=Int8Archive()), Int4Archive()], ids=repr
)
def test_bytes_are_those_that_a_session_archives(archive: Archive) -> None:
    session = pushed(FullMemory(), 5, 3, archive=archive)
    layers = session.archive.layers
    archived = sum(paged.bytes_appended for layer in layers for paged in layer.values())
    assert archive_bytes(archive, MODEL, 8) == archived
    assert archive_bytes(archive, MODEL, 8, batch=3) == 3 * archived


def test_what_will_not_fit_is_refused_with_bytes_and_remedies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{ROOM}.free_bytes", lambda place: 3 * 10**9)
    needed = archive_bytes(PlainArchive(), MODEL, 10**6)
    tokens = 10**6 * 4 * 10**9 // needed
    with pytest.raises(
        ValueError,
        match=rf"1 archive\(s\) of a stream of {tokens} tokens take 4\.0 GB of cpu, where 3\.0 GB "
        r"are free: keep it packed \(Int8Archive.*\(NoArchive with ReadCarried\)",
    ):
        require_room([PlainArchive()], MODEL, tokens)
    require_room([Int8Archive(), NoArchive()], MODEL, tokens)
    require_room([PlainArchive()], MODEL, tokens // 2)
    with pytest.raises(ValueError, match=r"2 archive\(s\)"):
        require_room([PlainArchive(), CPUArchive()], MODEL, tokens // 2)


def test_each_place_has_its_own_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    room: dict[Any, int | None] = {torch.device("cpu"): 0, str(tmp_path): 10**12}
    monkeypatch.setattr(f"{ROOM}.free_bytes", room.get)
    require_room([DiskArchive(tmp_path)], MODEL, 1000)
    with pytest.raises(ValueError, match="GB of cpu"):
        require_room([DiskArchive(tmp_path), PlainArchive()], MODEL, 1000)
    room[torch.device("cpu")] = None  # nobody tells
    require_room([PlainArchive()], MODEL, 10**12)


def test_folders_on_one_disk_share_its_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    needed = archive_bytes(PlainArchive(), MODEL, 1000)
    monkeypatch.setattr(f"{ROOM}.free_bytes", lambda place: 3 * needed // 2)
    require_room([DiskArchive(folders[0])], MODEL, 1000)
    with pytest.raises(ValueError, match=rf"2 archive\(s\) of .* GB of {tmp_path}/one, where"):
        require_room([DiskArchive(folder) for folder in folders], MODEL, 1000)


def test_free_bytes_are_those_of_the_machine(tmp_path: Path) -> None:
    free = free_bytes(torch.device("cpu"))
    if Path("/proc/meminfo").exists():
        assert free is not None
        assert 1 << 20 < free < 1 << 50
    told, on_disk = free_bytes(str(tmp_path)), shutil.disk_usage(tmp_path).free
    assert told == pytest.approx(on_disk, rel=0.5)
    assert free_bytes(str(tmp_path / "nowhere")) is None
    assert free_bytes(torch.device("meta")) is None
