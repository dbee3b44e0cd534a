"""`DiskArchive`: pages are the file's, no file outlives its session, a full disk fails a push."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
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
    LayerArchive,
    VideoSession,
)
from crossframe.framework.archives import disk as disk_archive
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.session_laws import require_same

from ..streams import push
from .small_pages import SmallPages

QUESTION = torch.tensor([[3, 1, 4]])
MAPS, STATUS = Path("/proc/self/maps"), Path("/proc/self/status")
needs_proc = pytest.mark.skipif(
    not (MAPS.exists() and STATUS.exists()),
    reason="what a page belongs to is read from /proc, which this system lacks",
)


def opened(archive: Archive) -> VideoSession:
    return VideoSession(ReferenceDecoder(), FullMemory(), archive=archive)


def mapped_from(folder: Path) -> list[str]:
    """Files of the folder that are mapped into this process."""
    lines = MAPS.read_text().splitlines()
    return [line.split(maxsplit=5)[5] for line in lines if f" {folder}/" in line]


@needs_proc
def test_every_packed_tensor_is_a_mapped_file_without_a_name(tmp_path: Path) -> None:
    session, handles = opened(DiskArchive(tmp_path)), len(os.listdir("/proc/self/fd"))
    for size in (3, 1, 7, 2):
        push(session, size)
        assert list(tmp_path.iterdir()) == []
        assert len(os.listdir("/proc/self/fd")) == handles
        mapped = mapped_from(tmp_path)
        assert len(mapped) == 2 * session.model.spec.num_layers
        assert all(name.endswith("(deleted)") for name in mapped)
    slots = LayerArchive(session.archive, 0).slots()
    del session
    assert len(mapped_from(tmp_path)) == 2, "what was read is still mapped"
    del slots
    assert mapped_from(tmp_path) == []


@needs_proc
def test_forks_share_their_files_until_they_diverge(tmp_path: Path) -> None:
    session = opened(DiskArchive(tmp_path))
    push(session, 5)
    fork = session.fork()
    assert len(mapped_from(tmp_path)) == 4
    for both in (session, fork):
        push(both, 5)
    assert len(mapped_from(tmp_path)) == 8
    steady = opened(DiskArchive(tmp_path))
    for size in (5, 5):
        push(steady, size)
    require_same(session, steady, QUESTION, "forking")
    require_same(fork, steady, QUESTION, "forking")


# 16 frames of 100 tokens, 8 heads of 1024 float64 numbers: 200 MiB of keys and values in one layer.
PROGRAM = """
import json, os, resource, sys, torch
from pathlib import Path
from crossframe.framework import *
from crossframe.framework.testing.archive_laws import Newest
from crossframe.framework.reference import ReferenceDecoder

def memory():
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return [int(status[n].split()[0]) >> 10 for n in ("RssAnon", "RssFile", "RssShmem")]

torch.set_num_threads(1)
folder = sys.argv[2]
archive = DiskArchive(folder) if sys.argv[1] == "disk" else CPUArchive()
model = ReferenceDecoder(DecoderSpec(1, 8, 8, 8, 8, 1024, 5))
session = VideoSession(model, Newest(0), archive=archive)

def push(session, frames=1):
    for _ in range(frames):
        start = session.cursor.position
        positions = torch.arange(start, start + 100)[None, None]
        session.push(FrameTokens(torch.randn(1, 100, 8).double(), positions))

def print_since(before):
    print(json.dumps([now - then for now, then in zip(memory(), before)]), flush=True)

push(session)
before = memory()
"""


def run(kind: str, folder: Path, then: str) -> subprocess.CompletedProcess[str]:
    """The program in a fresh process, where nobody else maps files or fills memory."""
    command = [sys.executable, "-c", PROGRAM + then, kind, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_proc
def test_200_mb_of_archive_are_pages_of_files_and_gone_with_the_process(tmp_path: Path) -> None:
    """RssAnon counts memory that only swap can take back, RssFile and RssShmem pages of files."""
    rooms, path = tmp_path / "rooms", tmp_path / "session"
    rooms.mkdir()
    then = f"""
push(session, 15)
print_since(before)
session.save({str(path)!r})
print_since(before)
del session
loaded = VideoSession.load({str(path)!r}, model, trusted=[Newest])
push(loaded)
print_since(before)
os.kill(os.getpid(), 9)
"""
    lived = run("disk", rooms, then)
    assert lived.returncode == -signal.SIGKILL, lived.stderr
    grown = [json.loads(line) for line in lived.stdout.splitlines()]
    assert len(grown) == 3
    for anonymous, of_files, shared in grown:
        assert anonymous < 100, "pushed, saved and loaded without holding the archive in memory"
        assert of_files + shared > 180
    assert path.stat().st_size > 190 << 20
    assert list(rooms.iterdir()) == []


@needs_proc
def test_the_check_of_pages_can_fail(tmp_path: Path) -> None:
    in_memory = run("cpu", tmp_path, "push(session, 15)\nprint_since(before)")
    assert json.loads(in_memory.stdout)[0] > 180, in_memory.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes as Linux does")
def test_a_file_that_cannot_grow_fails_the_push_and_nothing_else(tmp_path: Path) -> None:
    then = """
question = torch.tensor([[1, 2]])
expected = session.question_logits(question)
resource.setrlimit(resource.RLIMIT_FSIZE, (10 << 20, resource.RLIM_INFINITY))
try:
    push(session, 15)
except OSError as error:
    print(type(error).__name__, error)
pushed = len(session.costs)
assert session.cursor.tokens == 100 * pushed == session.archive.num_tokens, pushed
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
push(session, 16 - pushed)
assert session.archive.num_tokens == 1600
"""
    done = run("disk", tmp_path, then)
    assert done.returncode == 0, done.stderr
    assert f"OSError [Errno {errno.EFBIG}] DiskArchive cannot grow by a file of" in done.stdout


def test_a_full_disk_fails_the_push_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills while the second tensor of the second layer grows."""
    small = SmallPages(64, inner=Int4Archive())  # 8 tokens
    session, steady = (opened(DiskArchive(tmp_path, inner=small)) for _ in range(2))
    for both in (session, steady):
        push(both, 4)
    left = [1] * (4 * 2 + 2 + 1)  # two pages more for each tensor

    def allocate(handle: int, num_bytes: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()

    with monkeypatch.context() as patch:
        patch.setattr(disk_archive, "_reserve", allocate)
        with pytest.raises(OSError, match=r"of 64 bytes in .*No space left.*is unharmed") as caught:
            push(session, 8)
    assert caught.value.errno == errno.ENOSPC
    assert not left
    assert list(tmp_path.iterdir()) == []
    require_same(session, steady, QUESTION, "a full disk")
    for both in (session, steady):
        push(both, 8)
    require_same(session, steady, QUESTION, "a full disk, and on")


def test_a_folder_that_went_away_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "rooms"
    folder.mkdir()
    session = opened(DiskArchive(folder))
    folder.rmdir()
    with pytest.raises(FileNotFoundError, match=r"DiskArchive cannot grow .* in .*rooms \(No such"):
        push(session, 2)
    assert session.cursor.tokens == session.archive.num_tokens == 0


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_disk_space_is_taken_before_it_is_needed(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_archive, "_CHUNK", 1 << 16)
    monkeypatch.setattr(sys, "platform", platform)
    with open(tmp_path / "room", "wb") as file:
        disk_archive._reserve(file.fileno(), 1_000_000)
    held = os.stat(tmp_path / "room")
    assert held.st_size == 1_000_000
    assert 512 * held.st_blocks >= 1_000_000


def not_there(folder: Path) -> Path:
    return folder / "rooms"


def a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file"


def not_writable(folder: Path) -> Path:
    return Path("/proc/self") if os.geteuid() == 0 else _closed(folder)


def _closed(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder


@pytest.mark.parametrize("make", [not_there, a_file, not_writable])
def test_a_folder_that_takes_no_files_is_refused(make: Any, tmp_path: Path) -> None:
    folder = make(tmp_path)
    with pytest.raises(ValueError, match=rf"no file can be made in folder='{folder}' \(.+\): give"):
        DiskArchive(folder)


def test_a_system_that_keeps_names_of_open_files_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        with pytest.raises(ValueError, match=r"live on without a name.* use CPUArchive"):
            DiskArchive()


def test_a_relative_folder_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rooms").mkdir()
    monkeypatch.chdir(tmp_path)
    archive = DiskArchive("rooms")
    monkeypatch.chdir("/")
    assert archive == DiskArchive(tmp_path / "rooms")
    assert archive != CPUArchive()
    push(opened(archive), 2)
