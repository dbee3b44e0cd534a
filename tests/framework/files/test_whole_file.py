"""A file is written whole or not at all, and nothing else is touched."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.framework.files.whole_file import require_replaceable, whole_file


def write(path: Path, text: bytes = b"new") -> None:
    with whole_file(path) as file:
        file.write(text)


def test_a_file_takes_the_place_of_the_old_one_with_the_usual_permissions(tmp_path: Path) -> None:
    path, usual = tmp_path / "x", tmp_path / "usual"
    path.write_bytes(b"old")
    usual.touch()
    write(path)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode == usual.stat().st_mode


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "x")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, whole_file(path) as file:
        file.write(b"half")
        raise error
    assert [(part.name, part.read_bytes()) for part in tmp_path.iterdir()] == [("x", b"old")]
    if isinstance(caught.value, OSError):
        assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left: '{path}'"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    for name in ("x.partial", "x.tmp", "x"):
        (tmp_path / name).symlink_to(precious)
    (tmp_path / "y.partial").write_bytes(b"mine too")
    for name in ("x", "y"):
        write(tmp_path / name)
    assert precious.read_bytes() == b"mine"
    assert (tmp_path / "y.partial").read_bytes() == b"mine too"
    assert not (tmp_path / "x").is_symlink()
    assert len(list(tmp_path.iterdir())) == 6


def test_two_writers_each_write_a_whole_file(tmp_path: Path) -> None:
    path, start = tmp_path / "x", threading.Barrier(2)

    def slowly(letter: bytes) -> None:
        with whole_file(path) as file:
            start.wait(10)
            for _ in range(100):
                file.write(letter * 1000)
            file.flush()
            start.wait(10)

    writers = [threading.Thread(target=slowly, args=(letter,)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    assert list(tmp_path.iterdir()) == [path]


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "x")
    return folder / "x"


def link_to_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    (folder / "x").symlink_to("pipe")
    return folder / "x"


def under_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file/x"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "' is a folder: give the path of a file"),
        (lambda folder: Path(), r"'\.' is a folder"),
        (link_to_pipe, "x' is a device or pipe"),
        (pipe, "x' is a device or pipe"),
        (lambda folder: folder / "no/x", r"no/x' cannot be written, there is no such folder: make"),
        (under_a_file, r"file/x' cannot be written, there is no such"),
        (lambda folder: folder / "a\0b", "has a NUL in it: give another path"),
    ],
)
def test_what_no_file_can_be_put_at_is_refused_before_anything_is_written(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message), whole_file(path):
        pytest.fail("the block was entered")
    assert sorted(tmp_path.iterdir()) == before


def test_a_device_is_refused() -> None:
    """Only looked at here: run by root, broken code would put a file in its place."""
    with pytest.raises(
        ValueError, match="'/dev/null' is a device or pipe, not a file: give another"
    ):
        require_replaceable(Path("/dev/null"))


def test_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="x" * 300) as caught, whole_file(path):
        pytest.fail("the block was entered")
    assert caught.value.errno == errno.ENAMETOOLONG
