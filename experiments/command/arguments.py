"""The arguments of the command `crossframe`, as a jsonargparse parser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

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
    for name, summary, add in _commands():
        command = ConfigParser(description=summary)
        add(command)
        debug = "show where an error comes from"
        command.add_argument("--debug", action="store_true", help=debug)
        commands.add_subcommand(name, command, help=summary)
    return parser


def options_from(kind: type[T], values: Mapping[str, Any]) -> T:
    """The options of one kind out of all values of a command."""
    names = get_type_hints(kind)
    return kind(**{name: values[name] for name in names})


def _commands() -> list[tuple[str, str, Callable[[ArgumentParser], None]]]:
    return [
        (
            "ablate",
            "Compare memories over sizes, wrappers, readers and models at equal budgets, into one "
            "page; run again to go on after a stop.",
            _add_ablate,
        ),
        ("ask", "Answer one question about a video, word by word.", _add_ask),
        (
            "compare",
            "Run several memories on the same frames and compare answers and costs. Full attention "
            "always runs as the reference, and all sessions are held at once.",
            _add_compare,
        ),
        (
            "demo",
            "Compare the main memories at equal budgets on a tiny untrained model, whose answers "
            "mean nothing.",
            _add_demo,
        ),
        (
            "evaluate",
            "Score memories, readers and archives on a benchmark; run again to go on after a stop.",
            _add_evaluate,
        ),
        (
            "evidence",
            "Measure what memories lose on a pretrained text decoder, into one page; run again to "
            "go on after a stop.",
            _add_evidence,
        ),
        (
            "observe",
            "Measure where full attention's mass goes, as the StateKV paper's appendix does, and "
            "picture which patches a memory still holds.",
            _add_observe,
        ),
    ]


def _add_ablate(parser: ArgumentParser) -> None:
    from ..ablation.options import AblateOptions

    parser.usage = "crossframe ablate --config FILE [--option VALUE ...]"
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_class_arguments(AblateOptions)


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


def _add_evaluate(parser: ArgumentParser) -> None:
    from ..evaluation.options import EvaluateOptions

    parser.usage = "crossframe evaluate --config FILE [--option VALUE ...]"
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_class_arguments(EvaluateOptions)


def _add_evidence(parser: ArgumentParser) -> None:
    from ..evidence.options import EvidenceOptions

    parser.usage = "crossframe evidence (--preset quick | --config FILE) [--option VALUE ...]"
    what = "YAML file with any of these options; --preset NAME takes one that comes along"
    parser.add_argument("--config", action="config", help=what)
    parser.add_class_arguments(EvidenceOptions)


def _add_observe(parser: ArgumentParser) -> None:
    from ..observation.stream import ObserveOptions

    parser.add_argument(
        "videos", type=str, nargs="+", help="video files, or texts, each counted once"
    )
    pictured = f"whose patches are pictured: {_memory_help()}"
    parser.add_argument("--memory", type=str, default="statekv", help=pictured)
    for kind in (ModelOptions, MemoryDefaults, ObserveOptions):
        _add_options(parser, kind)


def _add_video_and_question(parser: ArgumentParser) -> None:
    parser.add_argument("video", type=str, help="a video file, or a .txt for a text decoder")
    parser.add_argument("question", type=str, help="asked when the video has passed")


def _add_report(parser: ArgumentParser, default: str | None) -> None:
    files = "folder for report.html, rows.json and steps.csv"
    parser.add_argument("--report", type=str, default=default, help=files)


def _add_run_options(parser: ArgumentParser) -> None:
    for kind in (ModelOptions, MemoryDefaults, StreamOptions):
        _add_options(parser, kind)


def _add_options(parser: ArgumentParser, kind: type) -> None:
    """One `--option` per field of a dataclass, explained by its docstring."""
    from docstring_parser import parse

    about = parse(kind.__doc__ or "")
    help_texts = {setting.arg_name: setting.description for setting in about.params}
    group = parser.add_argument_group((about.short_description or "").rstrip("."))
    types = get_type_hints(kind)
    for field in fields(kind):
        needed = field.default is MISSING
        default: dict[str, Any] = {"required": True} if needed else {"default": field.default}
        kind_of_value, several = types[field.name], {}
        if get_origin(kind_of_value) is Sequence:
            kind_of_value, several = get_args(kind_of_value)[0], {"nargs": "+"}
            default = {"default": [*default["default"]]}
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            type=kind_of_value,
            help=help_texts[field.name],
            **several,
            **default,
        )


def _memory_help() -> str:
    return f"one of {', '.join(known_memories())}, or a class of your own: {SYNTAX}"
