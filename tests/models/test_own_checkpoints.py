"""Checkpoints that come with crossframe: found by name, and told where there is none."""

from pathlib import Path

import pytest

from crossframe.models import load_model
from crossframe.models.own_checkpoints import own_folder, pretrained_names


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for name in ("tiny-b", "tiny-a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "begun").mkdir()
    return tmp_path


def test_names_are_of_whole_folders(shelf: Path) -> None:
    assert pretrained_names(shelf) == ["crossframe/tiny-a", "crossframe/tiny-b"]


def test_a_name_is_a_folder(shelf: Path) -> None:
    assert own_folder("crossframe/tiny-b", shelf) == shelf / "tiny-b"


@pytest.mark.parametrize("name", ["smollm2-135m", "OpenGVLab/InternVL3-1B-hf", "/some/folder"])
def test_other_names_stay(name: str, shelf: Path) -> None:
    assert own_folder(name, shelf) == name


def test_a_folder_of_the_same_name_goes_first(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crossframe" / "tiny-a").mkdir(parents=True)
    assert own_folder("crossframe/tiny-a", shelf) == "crossframe/tiny-a"


def test_an_unknown_name_is_told_what_there_is(shelf: Path, tmp_path: Path) -> None:
    told = r"no checkpoint crossframe/tiny-c comes with crossframe; there are "
    with pytest.raises(ValueError, match=told + r"crossframe/tiny-a, crossframe/tiny-b$"):
        own_folder("crossframe/tiny-c", shelf)
    with pytest.raises(ValueError, match=told + r"none in this installation$"):
        own_folder("crossframe/tiny-c", tmp_path / "nowhere")


def test_load_model_asks_here_first() -> None:
    with pytest.raises(ValueError, match=r"no checkpoint crossframe/platypus comes with"):
        load_model("crossframe/platypus")


@pytest.mark.parametrize("name", pretrained_names())
def test_what_comes_along_loads(name: str) -> None:
    model = load_model(name, device="cpu")
    assert sum(weight.numel() for weight in model.hf_model.parameters()) < 1e6
