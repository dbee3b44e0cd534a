"""The arguments of the command `crossframe`, as a jsonargparse parser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from ..ablation.options import AblateOptions
from ..evaluation.options import EvaluateOptions
from ..evidence.options import EvidenceOptions
from ..observation.stream import CAPACITIES, RECENT_FRAMES, ObserveOptions
from ..streaming.options import ModelOptions, StreamOptions
from ..streaming.rule_text import (
    SYNTAX,
    MemoryDefaults,
    known_archives,
    known_memories,
    known_readers,
)
from . import demo

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

T = TypeVar("T")


def command_parser(description: str) -> ArgumentParser:
    """The parser of all commands."""
    from .config_parser import ConfigParser

    parser = ConfigParser(prog="crossframe", description=description)
    commands = parser.add_subcommands(dest="command")
    for name, (usage, summary, add) in _COMMANDS.items():
        usage = f"crossframe {name} {usage} [--option VALUE ...]"
        command = ConfigParser(usage=usage, description=summary, print_config="--print-config")
        add(command)
        debug = "show where an error comes from"
        command.add_argument("--debug", action="store_true", help=debug)
        commands.add_subcommand(name, command, help=summary)
    return parser


def options_from(kind: type[T], values: Mapping[str, Any]) -> T:
    """The options of one kind out of all values of a command."""
    names = get_type_hints(kind)
    return kind(**{name: values[name] for name in names})


def _add_ask(parser: ArgumentParser) -> None:
    _add_video_and_question(parser)
    parser.add_argument("--memory", type=str, default="statekv", help=_memory_help())
    _add_run_options(parser)


def _add_compare(parser: ArgumentParser) -> None:
    _add_video_and_question(parser)
    help_text = f"one or more, each {_memory_help()}"
    parser.add_argument(
        "--memories", nargs="+", type=str, default=list(demo.MEMORIES), help=help_text
    )
    for name, known, what in (
        ("--readers", known_readers(), "what the answer reads"),
        ("--archives", known_archives(), "how the KV of all frames is kept"),
    ):
        names = f"{what}: one or more of {', '.join(known)}, or classes of your own, as memories"
        parser.add_argument(name, nargs="+", type=str, default=[next(iter(known))], help=names)
    alone = "also answer from so many last frames alone, prefilled afresh (SimpleStream)"
    parser.add_argument("--simple-stream", type=int | None, default=None, help=alone)
    images = "as images of their own, as its release gives them to Qwen-VL, not as a video"
    parser.add_argument("--simple-stream-images", action="store_true", help=images)
    _add_report(parser, None)
    _add_run_options(parser)


def _add_demo(parser: ArgumentParser) -> None:
    bundled = "your own video; without one, the video that comes along"
    parser.add_argument("video", type=str, nargs="?", default=None, help=bundled)
    parser.add_argument("--question", type=str, default=demo.QUESTION, help="what to ask")
    _add_report(parser, "runs/demo")


def _add_observe(parser: ArgumentParser) -> None:
    parser.add_argument(
        "videos", type=str, nargs="+", help="video files, or texts, each counted once"
    )
    pictured = f"whose patches are pictured: {_memory_help()}"
    parser.add_argument("--memory", type=str, default="statekv", help=pictured)
    # Several numbers behind one option, which jsonargparse would want as a list in brackets.
    several = {
        "capacities": (
            CAPACITIES,
            "slots whose evidence is measured, below those of a whole video",
        ),
        "recent_frames": (RECENT_FRAMES, "windows of last frames, measured beside the best tokens"),
    }
    for name, (counts, what) in several.items():
        parser.add_argument(f"--{name}", nargs="+", type=int, default=[*counts], help=what)
    for kind in (ModelOptions, MemoryDefaults, ObserveOptions):
        parser.add_class_arguments(kind, skip=set(several))


def _configured(kind: type, more: str = "") -> Callable[[ArgumentParser], None]:
    """Adds all options of a kind, from a file or one by one."""

    def add(parser: ArgumentParser) -> None:
        what = f"YAML file with any of these options{more}"
        parser.add_argument("--config", action="config", help=what)
        parser.add_class_arguments(kind)

    return add


def _add_video_and_question(parser: ArgumentParser) -> None:
    parser.add_argument("video", type=str, help="a video file, or a .txt for a text decoder")
    parser.add_argument("question", type=str, help="asked when the video has passed")


def _add_report(parser: ArgumentParser, default: str | None) -> None:
    files = "folder for report.html, rows.json and steps.csv"
    parser.add_argument("--report", type=str, default=default, help=files)


def _add_run_options(parser: ArgumentParser) -> None:
    for kind in (ModelOptions, MemoryDefaults, StreamOptions):
        parser.add_class_arguments(kind)


def _memory_help() -> str:
    return f"one of {', '.join(known_memories())}, or a class of your own: {SYNTAX}"


# Name: usage, summary, and what adds its arguments.
_COMMANDS: dict[str, tuple[str, str, Callable[[ArgumentParser], None]]] = {
    "ablate": (
        "--config FILE",
        "Compare memories over sizes, wrappers, readers and models at equal budgets, into one "
        "page; run again to go on after a stop.",
        _configured(AblateOptions),
    ),
    "ask": (
        "VIDEO QUESTION --model MODEL",
        "Answer one question about a video, word by word.",
        _add_ask,
    ),
    "compare": (
        "VIDEO QUESTION --model MODEL",
        "Run several memories on the same frames and compare answers and costs. Full attention "
        "always runs as the reference, and all sessions are held at once.",
        _add_compare,
    ),
    "demo": (
        "[VIDEO]",
        "Compare the main memories at equal budgets on a tiny untrained model, whose answers "
        "mean nothing.",
        _add_demo,
    ),
    "evaluate": (
        "--config FILE",
        "Score memories, readers and archives on a benchmark; run again to go on after a stop.",
        _configured(EvaluateOptions),
    ),
    "evidence": (
        "(--preset quick | --config FILE)",
        "Measure what memories lose on a pretrained text decoder, into one page; run again to "
        "go on after a stop.",
        _configured(EvidenceOptions, "; --preset NAME takes one that comes along"),
    ),
    "observe": (
        "VIDEO [VIDEO ...] --model MODEL",
        "Measure where full attention's mass goes, as the StateKV paper's appendix does, and "
        "picture which patches a memory still holds.",
        _add_observe,
    ),
}
