"""Ctrl-C while a module is imported comes when that is done; anywhere else, at once."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossframe.experiments.command.cli import main
from crossframe.experiments.command.interrupts import run_with_whole_imports

NAMES = ("interrupted_outer", "interrupted_inner", "interrupted_runner")
INNER = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
for _ in range(1000):
    pass
whole = True
"""
RUNNER = """
import os, signal
from crossframe.experiments.command.interrupts import run_with_whole_imports
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("went on")
run_with_whole_imports(interrupt)
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As Python begins, but where a shell started it in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that is interrupted while it is imported, behind a library that swallows that."""
    outer = "try:\n    import interrupted_inner\nexcept BaseException:\n    pass\nwhole = True\n"
    for name, text in zip(NAMES, (outer, INNER, RUNNER), strict=True):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in NAMES:
        sys.modules.pop(name, None)


def load() -> None:
    importlib.import_module("interrupted_outer")
    raise AssertionError("went on")


def test_modules_are_whole_when_an_interrupt_arrives() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_with_whole_imports(load)
    assert sys.modules["interrupted_outer"].whole
    assert sys.modules["interrupted_inner"].whole
    assert sys.gettrace() is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_it_the_interrupt_is_lost() -> None:
    with pytest.raises(AssertionError, match="went on"):
        load()
    assert "interrupted_inner" not in sys.modules


def test_outside_an_import_it_arrives_at_once() -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    with pytest.raises(KeyboardInterrupt):
        run_with_whole_imports(interrupt)
    with pytest.raises(KeyboardInterrupt):  # whoever is imported around the work
        importlib.import_module("interrupted_runner")


def test_a_handler_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    came = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        run_with_whole_imports(lambda: os.kill(os.getpid(), signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT]


def test_a_command_tells_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crossframe.experiments.command.cli._run", lambda words: load())
    assert main(["ask"]) == 130
    assert capsys.readouterr().err == "crossframe ask: interrupted\n"
