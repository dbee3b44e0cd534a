"""Own classes are found in the current folder; nothing else there is."""

import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from crossframe.experiments.command.own_classes import named_modules, own_classes_importable


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    (tmp_path / "own_rules_a.py").write_text("import own_helper_a\nfound = own_helper_a.VALUE\n")
    (tmp_path / "own_helper_a.py").write_text("VALUE = 7\n")
    for folder in ("own_results_a", "json"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def test_a_named_module_and_what_it_imports_are_found(here: Path) -> None:
    finders = list(sys.meta_path)
    with own_classes_importable(["--memory", "own_rules_a.Memory(capacity=3)"]):
        assert importlib.import_module("own_rules_a").found == 7
    assert sys.meta_path == finders


def test_a_folder_that_nobody_named_is_no_library(here: Path) -> None:
    with own_classes_importable(["ask", "video.mp4", "own_results_a/video.mp4"]):
        assert find_spec("own_results_a") is None
        assert find_spec("own_helper_a") is None


def test_nothing_installed_is_shadowed(here: Path) -> None:
    with own_classes_importable(["json.Memory"]):
        spec = find_spec("json")
    assert spec is not None and not str(spec.origin).startswith(str(here))


def test_names_stand_in_words_and_in_files_that_words_name(here: Path) -> None:
    (here / "run.yaml").write_text("cells: {a: {memory: {class_path: own_rules_a.Memory}}}\n")
    for words in (["--config", "run.yaml"], ["--config=run.yaml"], ["own_rules_a.Memory"]):
        assert "own_rules_a" in named_modules(words)
    assert named_modules(["--config", "missing.yaml", "./own_results_a/x.mp4"]) <= {"missing"}
