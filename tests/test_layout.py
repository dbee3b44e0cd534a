"""Guards of the namespace mapping and of the house rules a linter cannot state."""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("framework", "methods", "models", "experiments")
QUIET_ROOMS = ("framework", "methods", "models")  # only experiments talk to a terminal
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

MAX_LINES, MAX_LONG_LINES = 300, 400  # kernels and tests may be long
ROOMLESS_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "core", "misc"}
# lmms-eval wants an av below the locked one, so it lives in an environment of its own.
UNLOCKED_EXTRAS = {"lmms"}
# Of the package itself, beside its rooms.
FACE = ("__init__.py", "__main__.py", "py.typed")
# What this repository alone needs: to write its pages, and to try commands on small files.
NOT_INSTALLED = {"crossframe.experiments.publishing"}
# What `import crossframe.framework, crossframe.methods` leaves alone until first use.
HEAVY = {
    "av", "hypothesis", "lightning", "matplotlib", "pandas", "pytest", "pytorch_lightning",
    "torchmetrics", "torchvision", "transformers", "triton",
}  # fmt: skip


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


# The mapping


def test_packages_listed_are_the_folders_on_disk() -> None:
    on_disk = {
        "crossframe." + ".".join(path.parent.relative_to(ROOT).parts) for path in sources(*ROOMS)
    } - NOT_INSTALLED | {"crossframe"}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(on_disk)


@pytest.mark.parametrize("room", ROOMS)
def test_room_is_installed_from_this_checkout_and_typed(room: str) -> None:
    module = importlib.import_module(f"crossframe.{room}")
    assert Path(str(module.__file__)).resolve() == ROOT / room / "__init__.py"
    assert (ROOT / room / "py.typed").is_file()


def test_tests_have_no_init() -> None:
    strays = [label(path) for path in (ROOT / "tests").rglob("__init__.py")]
    assert not strays, f"pytest would register these folders as top-level rooms: {strays}"


# The map


def mapped(text: str) -> set[str]:
    """Files and folders that a page names below the rooms."""
    return set(re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w/.]*)`", text))


def test_the_map_is_the_tree_on_disk() -> None:
    named = mapped((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    assert not [name for name in named if not (ROOT / name).exists()]
    folders = {f"{label(path.parent)}/" for path in sources(*ROOMS)}
    assert folders - named <= {"methods/", "experiments/"}


def test_the_map_check_sees_names() -> None:
    assert mapped("in `framework/nowhere/` and `models/hf.py`, not `tests/`") == {
        "framework/nowhere/",
        "models/hf.py",
    }


# The wheel

INSTALLED = """\
import crossframe
from crossframe.experiments.command import cli
print(cli.__file__, crossframe.__version__)
cli.main(["demo", "--help"])
"""
# A plain `pip install`, without the packages of any extra.
BARE = """\
import runpy, sys
for name in ("hypothesis", "jsonargparse", "lightning", "matplotlib", "pandas", "rich"):
    sys.modules[name] = None
"""


def test_the_wheel_holds_all_that_runs_and_no_fixtures(tmp_path: Path) -> None:
    for room in ROOMS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / room, tmp_path / "tree" / room, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", *FACE):
        shutil.copy(ROOT / name, tmp_path / "tree")
    files = (path for path in (tmp_path / "tree").rglob("*.*") if path.is_file())
    tree = {path.relative_to(tmp_path / "tree") for path in files}
    build = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    command = [sys.executable, "-c", build]
    subprocess.run(command, cwd=tmp_path / "tree", capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        file.extractall(tmp_path / "site")
    meant = {f"crossframe/{path}" for path in tree if path.parts[0] in {*ROOMS, *FACE}}
    fixtures = "crossframe/experiments/publishing/"
    assert names == {name for name in meant if not name.startswith(fixtures)}

    def run(program: str) -> subprocess.CompletedProcess[str]:
        """As if installed: the unpacked wheel comes before this checkout."""
        return subprocess.run(
            [sys.executable, "-P", "-c", program],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
        )

    whole = run(INSTALLED)
    assert whole.stdout.startswith(f"{tmp_path}/site/crossframe/"), whole.stdout + whole.stderr
    assert "usage: crossframe demo [VIDEO]" in whole.stdout
    command = run(BARE + "sys.argv[1:] = ['--help']; runpy.run_module('crossframe')")
    assert command.returncode == 2
    assert "pip install 'crossframe[experiments]'" in command.stderr
    assert len(command.stderr.splitlines()) == 1
    kit = run(BARE + "import crossframe.framework.testing")
    assert kit.stderr.splitlines()[-1].endswith("pip install 'crossframe[testing]'")


# Light imports


def modules_loaded_by(statement: str, folder: Path) -> set[str]:
    """Top-level modules that `statement` loads in a fresh interpreter, beyond torch's own."""
    program = (
        "import json, sys, torch\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps([name.partition('.')[0] for name in set(sys.modules) - before]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 1, f"an import prints: {run.stdout}"
    return set(json.loads(run.stdout))


def test_importing_the_framework_is_light(tmp_path: Path) -> None:
    loaded = modules_loaded_by("import crossframe.framework, crossframe.methods", tmp_path)
    assert "crossframe" in loaded
    assert not loaded & HEAVY
    assert not loaded & set(ROOMS)


def test_importing_the_benchmarks_loads_no_reader(tmp_path: Path) -> None:
    loaded = modules_loaded_by("import crossframe.experiments.benchmarks", tmp_path)
    assert not loaded & {"av", "lightning", "pandas", "pyarrow"}


def test_pages_are_rendered_without_the_models(tmp_path: Path) -> None:
    program = (
        "import crossframe.experiments.ablation.report\n"
        "import crossframe.experiments.comparison.report\n"
        "import crossframe.experiments.comparison.table\n"
        "import crossframe.experiments.demo.report\n"
        "import crossframe.experiments.evidence.page\n"
        "import crossframe.experiments.observation.held_page\n"
        "import crossframe.experiments.observation.page\n"
        "from crossframe.experiments.reports.page import web_page\n"
        "empty = dict(about='', parts=[], cells={}, settings={}, environments=[])\n"
        "web_page('evidence/evidence.html', 'title', **empty)"
    )
    loaded = modules_loaded_by(program, tmp_path)
    assert "jinja2" in loaded
    assert not loaded & (HEAVY - {"torchvision", "matplotlib", "pandas"})


def test_the_light_import_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "methods.py").write_text("import hypothesis\n", "utf-8")
    loaded = modules_loaded_by("import methods", tmp_path)
    assert "hypothesis" in loaded & HEAVY
    assert "methods" in loaded & set(ROOMS)


# House figures


@pytest.mark.parametrize("path", sources(*ROOMS, "tests"), ids=label)
def test_file_is_short(path: Path) -> None:
    limit = MAX_LONG_LINES if {"kernels", "tests"} & set(path.parts) else MAX_LINES
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= limit, f"{lines} lines; split what does not belong together"


def test_every_file_has_a_room() -> None:
    names = {path: {*path.relative_to(ROOT).parts[:-1], path.stem} for path in sources(*ROOMS)}
    roomless = [label(path) for path, parts in names.items() if parts & ROOMLESS_NAMES]
    assert not roomless, f"names that say nothing about the content: {roomless}"


def guesses(source: str) -> Iterator[str]:
    """Places where code guesses at an object, hides an error or reads its surroundings."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="hasattr")):
                yield f"line {node.lineno}: hasattr"
            case ast.Call(func=ast.Name(id="getattr"), args=[_, _, _]):
                yield f"line {node.lineno}: getattr with a default"
            case ast.Call(func=ast.Name(id="print")):
                yield f"line {node.lineno}: print"
            case ast.ExceptHandler(type=None):
                yield f"line {node.lineno}: bare except"
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "getenv"):
                yield f"line {node.lineno}: environment read"


@pytest.mark.parametrize("path", sources(*QUIET_ROOMS), ids=label)
def test_code_does_not_guess(path: Path) -> None:
    assert not list(guesses(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "planted",
    [
        "hasattr(model, 'config')",
        "getattr(model, 'config', None)",
        "print('hello')",
        "try:\n    run()\nexcept:\n    pass",
        "debug = os.environ['DEBUG']",
        "debug = os.getenv('DEBUG')",
    ],
)
def test_the_guessing_check_can_fail(planted: str) -> None:
    assert list(guesses(planted))


def test_the_guessing_check_lets_plain_code_pass() -> None:
    assert not list(guesses("try:\n    getattr(model, name)\nexcept KeyError:\n    raise"))


# The lock


def locked_versions() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pins = [line.partition(";")[0].strip() for line in lines if line and not line.startswith("#")]
    odd = [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)]
    assert not odd, f"neither address, option nor range belongs into the lock: {odd}"
    return {canonicalize_name(name): version for name, version in (p.split("==") for p in pins)}


def test_lock_pins_versions_and_names_no_address() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text("utf-8")
    assert locked_versions()


def test_lock_satisfies_what_the_package_asks_for() -> None:
    project = PYPROJECT["project"]
    groups = project["optional-dependencies"]
    extras = [line for name in groups.keys() - UNLOCKED_EXTRAS for line in groups[name]]
    locked = locked_versions()
    for requirement in map(Requirement, project["dependencies"] + extras):
        if requirement.name != project["name"]:
            version = locked.get(canonicalize_name(requirement.name), "missing")
            assert version in requirement.specifier, f"{requirement} against {version}"
