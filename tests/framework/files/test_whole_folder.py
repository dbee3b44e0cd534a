"""A folder is written whole or not at all, and nothing else is touched."""

from pathlib import Path

import pytest

from crossframe.framework.files.whole_folder import whole_folder


def test_a_folder_comes_to_its_place_with_all_that_is_in_it(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "new" / "folder") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"content")
        assert not (tmp_path / "new" / "folder").exists()
    assert (tmp_path / "new" / "folder" / "inner" / "file").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty") as folder:
        (folder / "file").touch()
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), GeneratorExit()])
def test_after_an_error_nothing_is_left(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)), whole_folder(tmp_path / "folder") as folder:
        (folder / "file").touch()
        raise error
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with (
        pytest.raises(ValueError, match="used' is in use: give a folder that does not exist yet"),
        whole_folder(tmp_path / "used"),
    ):
        pytest.fail("was let in")
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_a_folder_that_came_into_use_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is in use"), whole_folder(tmp_path / "folder"):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "theirs").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "theirs"]


@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_what_is_no_folder_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="there' is a file: give a folder"), whole_folder(path):
        pytest.fail("was let in")
