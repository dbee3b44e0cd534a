"""How options are spelled; and what configurations get wrong about classes is told with what may
have been meant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from crossframe.experiments.command.cli import command_parser, main
from crossframe.experiments.command.config_parser import ConfigParser, known_classes

CONFIG = """\
model: {model: x}
benchmark: {class_path: BENCHMARK, init_args: {root: x}}
cells: {one: {memory: {class_path: MEMORY}}}
output: runs
"""


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], memory: str, benchmark: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.replace("MEMORY", memory).replace("BENCHMARK", benchmark), "utf-8")
    with pytest.raises(SystemExit):
        main(["evaluate", "--config", str(path)])
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("memory", "benchmark", "remedy"),
    [
        (
            "FullMemry",
            "VideoMME",
            "No class of crossframe is called FullMemry; did you mean FullMemory? A class of your "
            "own is named by its path, such as my_package.FullMemry.",
        ),
        ("FullMemory", "VideoMM", "called VideoMM; did you mean VideoMME?"),
        ("Zzz", "VideoMME", "No class of crossframe is called Zzz. A class of your own"),
        ("Int8Archive", "VideoMME", "Int8Archive is the name of an archive, which cannot stand"),
    ],
)
def test_an_unknown_class_is_told_once_with_what_may_be_meant(
    memory: str,
    benchmark: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(tmp_path, capsys, memory, benchmark).count(remedy) == 1


def test_other_errors_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = told(tmp_path, capsys, "FullMemory, init_args: {capacity: 3}", "VideoMME")
    assert "Option 'capacity' is not accepted" in wrong
    assert "No class of crossframe" not in wrong


def test_all_kinds_of_classes_are_known() -> None:
    known = known_classes()
    assert known["StateKVMemory"] == known["ProtectedSinks"] == "a memory"
    assert known["ReKVReader"] == "a reader"
    assert known["DiskArchive"] == "an archive"
    assert known["OVOBench"] == "a benchmark"


@dataclass(frozen=True)
class Part:
    """A part.

    Args:
        at_most: of a part.
    """

    at_most: int = 1


def spelled(*words: str) -> tuple[int, int]:
    """What an option with a part makes of words."""
    parser = ConfigParser()
    parser.add_class_arguments(Part)
    parser.add_class_arguments(Part, "some.part")
    values = parser.parse_args(words)
    return values.at_most, values.some.part.at_most


def test_options_have_hyphens_and_those_of_before_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert spelled("--at-most", "3", "--some.part.at-most=4") == (3, 4)
    assert capsys.readouterr().err == ""
    assert spelled("--at_most=3", "--some.part.at_most", "4") == (3, 4)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "crossframe: --at_most is now --at-most; after this version it is unknown",
        "crossframe: --some.part.at_most is now --some.part.at-most; after this version it is "
        "unknown",
    ]
    with pytest.raises(SystemExit):
        spelled("--at_least", "3")


def test_no_command_shows_an_underscore() -> None:
    parser = command_parser()
    (commands,) = (action for action in parser._actions if action.choices)
    assert isinstance(commands.choices, dict)
    for name, command in commands.choices.items():
        shown = command.format_help()
        assert "--debug" in shown and f"usage: crossframe {name} " in shown
        assert not re.findall(r"--[\w.-]*_[\w.]*", shown), name


@pytest.mark.parametrize(
    ("words", "suites"),
    [
        ("--suites needle", ["needle"]),
        ("--suites copy needle --streams 3", ["copy", "needle"]),
        ("--suites [copy, needle]", ["copy", "needle"]),
        ("--streams 3", ["prose", "scene"]),
    ],
)
def test_a_list_is_given_as_words(words: str, suites: list[str]) -> None:
    parser = ConfigParser()
    parser.add_argument("--suites", type=Sequence[str], default=["prose", "scene"])
    parser.add_argument("--streams", type=int, default=1)
    split = ["--suites", "[copy, needle]"] if "[" in words else words.split()
    assert parser.parse_args(split).suites == suites


@pytest.mark.parametrize(
    ("words", "usage", "error"),
    [
        ("ask", "ask VIDEO", "the following arguments are required: VIDEO, QUESTION, --model"),
        ("compare v.mp4 q", "compare VIDEO", "the following arguments are required: --model"),
        ("evaluate", "evaluate --config", "--model.model, --benchmark, --cells, --output"),
        ("ask v.mp4 q --model m --capcity 3", "ask VIDEO", "did you mean --capacity?"),
        ("compare v.mp4 what now --model m", "compare", "a text of several words needs quotes"),
        ("ask v.mp4 q --model m --zzz", "ask VIDEO", "unrecognized arguments: --zzz\n"),
        ("compare v.mp4 q --model m --memories.a full", "compare", "did you mean --memories?"),
    ],
)
def test_mistakes_are_told_in_words_that_can_be_typed(
    words: str,
    usage: str,
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.mp4").touch()
    with pytest.raises(SystemExit):
        main(words.split())
    told = capsys.readouterr().err
    assert f"usage: crossframe {usage}" in told
    assert error in told
