"""Archives are saved as they are packed, and load into any archive that packs alike."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    Archive,
    CPUArchive,
    DiskArchive,
    Int4Archive,
    Int8Archive,
    PlainArchive,
    VideoSession,
    WrappedArchive,
)
from crossframe.framework.archives import disk as disk_archive
from crossframe.framework.files.tensor_file import read_tensors
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.session_laws import require_same
from crossframe.methods import RecencyMemory

from ..streams import push, pushed
from .small_pages import SmallPages

QUESTION = torch.tensor([[3, 1, 4]])


def seen(archive: Archive, *sizes: int) -> VideoSession:
    return pushed(RecencyMemory(3), *sizes, archive=archive)


def packed(session: VideoSession) -> list[dict[str, Tensor]]:
    return [{n: g.joined() for n, g in layer.items()} for layer in session.archive.layers]


@pytest.mark.parametrize(
    "archive",
    [Int8Archive(), Int4Archive(group=3), CPUArchive(), DiskArchive(inner=Int4Archive(group=4))],
    ids=repr,
)
def test_what_was_packed_is_not_packed_again(archive: Archive, tmp_path: Path) -> None:
    session = seen(archive, 3, 4, 2)
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model)
    assert loaded.archive.codec == archive
    for own, other in zip(packed(loaded), packed(session), strict=True):
        assert own.keys() == other.keys()
        for name, value in own.items():
            assert value.dtype == other[name].dtype
            assert torch.equal(value, other[name])
    require_same(loaded, session, QUESTION, "saving")
    for both in (session, loaded):
        push(both, 5, 1)
    require_same(loaded, session, QUESTION, "going on")
    assert loaded.archive.bytes_copied <= 1.05 * loaded.archive.bytes_appended


def test_a_lossy_archive_makes_a_small_file(tmp_path: Path) -> None:
    sizes = []
    for archive in (PlainArchive(), Int8Archive(), Int4Archive()):
        seen(archive, 1000).save(tmp_path / "session")
        sizes.append((tmp_path / "session").stat().st_size)
    per_token = 2 * 2 * 2  # layers, KV heads, keys and values
    assert sizes[0] - sizes[1] == pytest.approx(per_token * 1000 * (8 * 8 - (8 + 4)), abs=2000)
    assert sizes[1] - sizes[2] == pytest.approx(per_token * 1000 * (8 - 4), abs=2000)


@pytest.mark.parametrize("archive", [CPUArchive(), DiskArchive()], ids=repr)
def test_an_archive_that_packs_alike_takes_over(archive: Archive, tmp_path: Path) -> None:
    session = seen(PlainArchive(), 3, 4)
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, archive=archive)
    assert loaded.archive.codec == archive
    for both in (session, loaded):
        push(both, 5)
    require_same(loaded, session, QUESTION, "going on")


@pytest.mark.parametrize(
    ("saved", "given"),
    [
        (PlainArchive(), Int8Archive()),
        (Int8Archive(), PlainArchive()),
        (Int8Archive(), Int4Archive()),
        (Int4Archive(group=4), DiskArchive(inner=Int4Archive(group=2))),
    ],
    ids=repr,
)
def test_an_archive_that_packs_otherwise_is_refused(
    saved: Archive, given: Archive, tmp_path: Path
) -> None:
    seen(saved, 3).save(tmp_path / "session")
    with pytest.raises(ValueError, match=r"archive was saved as .*Archive\(.* packs .*: load it"):
        VideoSession.load(tmp_path / "session", ReferenceDecoder(), archive=given)


def test_a_folder_that_is_missing_where_a_session_is_loaded_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "rooms"
    folder.mkdir()
    session = seen(DiskArchive(folder), 3)
    session.save(tmp_path / "session")
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=r"DiskArchive: no file can be made in folder='.*rooms'"):
        VideoSession.load(tmp_path / "session", session.model)
    folder.mkdir()
    other = DiskArchive(tmp_path)
    loaded = VideoSession.load(tmp_path / "session", session.model, archive=other)
    require_same(loaded, session, QUESTION, "loading elsewhere")


def full(handle: int, num_bytes: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_archive_is_still_read_and_saved_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = seen(DiskArchive(tmp_path, inner=SmallPages()), 3, 4)
    expected, archive = session.question_logits(QUESTION), CPUArchive(inner=SmallPages())
    session = seen(DiskArchive(tmp_path, inner=SmallPages()), 3, 4)
    with monkeypatch.context() as patch:
        patch.setattr(disk_archive, "_reserve", full)
        with pytest.raises(OSError, match="No space left"):
            push(session, 20)
        assert torch.equal(session.question_logits(QUESTION), expected)
        session.save(tmp_path / "session")
        loaded = VideoSession.load(tmp_path / "session", session.model, archive=archive)
    require_same(loaded, session, QUESTION, "a full disk")


def test_a_loaded_session_needs_its_file_no_more(tmp_path: Path) -> None:
    """Tensors of a file may be mapped pages of it, which change with the file."""
    session = seen(PlainArchive(), 3, 4)
    path = tmp_path / "session"
    session.save(path)
    loaded = VideoSession.load(path, session.model)
    with open(path, "r+b") as file:
        file.write(b"\1" * path.stat().st_size)
    require_same(loaded, session, QUESTION, "writing over the file")


@dataclass(frozen=True)
class Noting(WrappedArchive):
    """Notes the room it makes."""

    made: list[list[int]] = field(default_factory=list)

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        self.made.append(list(shape))
        return super().room(example, shape)


def test_pages_are_saved_as_one_tensor(tmp_path: Path) -> None:
    """And loaded into pages of another size."""
    sessions = seen(SmallPages(), 3, 4, 9), seen(PlainArchive(), 3, 4, 9)
    files = [read_saved(session, tmp_path) for session in sessions]
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(value, files[1][name]) for name, value in files[0].items())
    loaded = VideoSession.load(tmp_path / "session", sessions[0].model, archive=SmallPages())
    require_same(loaded, sessions[0], QUESTION, "saving")
    assert loaded.archive.layers[0]["keys"].bounds == [0, 1, 2, 4, 8, 12, 16]


def read_saved(session: VideoSession, folder: Path) -> dict[str, Tensor]:
    session.save(folder / "session")
    file = read_tensors(folder / "session")
    assert file.is_whole()
    return {name: value.clone() for name, value in file.tensors.items()}


def test_nothing_is_copied_to_be_saved(tmp_path: Path) -> None:
    """So that an archive on disk need not fit into memory, nor twice on its disk."""
    archive = Noting()
    session = seen(archive, 3, 4)
    archive.made.clear()
    session.save(tmp_path / "session")
    assert archive.made == []


@dataclass(frozen=True)
class Halved(WrappedArchive):
    """An archive of one's own, with a setting."""

    by: float = 2.0
    lossy = True

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return self.inner.pack(keys / self.by, values)


def test_an_archive_of_one_s_own_is_rebuilt_with_what_it_wraps(tmp_path: Path) -> None:
    archive = Halved(4.0, inner=Int8Archive())
    session = seen(archive, 3)
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, trusted=[Halved])
    assert loaded.archive.codec == archive
    require_same(loaded, session, QUESTION, "saving")
