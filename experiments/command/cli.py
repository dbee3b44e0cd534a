"""Ask a video vision-language model about a video, or compare cross-frame memories on it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ...framework import VideoModel
from ..ablation.options import AblateOptions
from ..comparison.report import Report, report_folder
from ..comparison.run import Choices, Comparison, compare
from ..comparison.table import print_grid, print_results
from ..evaluation.options import EvaluateOptions
from ..evidence.options import EvidenceOptions
from ..observation.stream import ObserveOptions
from ..streaming.environment import environment, one_thread
from ..streaming.media import open_media
from ..streaming.options import ModelOptions, StreamOptions
from ..streaming.rule_text import (
    MemoryDefaults,
    archive_from,
    memories_from,
    memory_from,
    reader_from,
    require_distinct,
)
from . import demo
from .arguments import add_ask, add_compare, add_demo, add_observe, configured, options_from
from .ask import ask
from .config_files import config_paths, require_sound, with_presets
from .own_classes import own_classes_importable

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

Values = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 after an error of the user's, which is told in one line."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command, debug = (words or [""])[0], "--debug" in words
    if code := _run(command, lambda: _configured(words), debug):
        return code
    with own_classes_importable(words):
        parser = command_parser()
        chosen = parser.parse_args(words)
        name = str(chosen.command)
        *_, run = _COMMANDS[name]
        return _run(name, lambda: run(_values(parser, chosen)), chosen[name].debug)


def command_parser() -> ArgumentParser:
    """The parser of all commands."""
    from .config_parser import ConfigParser

    parser = ConfigParser(prog="crossframe", description=__doc__)
    commands = parser.add_subcommands(dest="command")
    for name, (usage, summary, add, _) in _COMMANDS.items():
        usage = f"crossframe {name} {usage} [--option VALUE ...]"
        command = ConfigParser(usage=usage, description=summary, print_config="--print-config")
        add(command)
        debug = "show where an error comes from"
        command.add_argument("--debug", action="store_true", help=debug)
        commands.add_subcommand(name, command, help=summary)
    return parser


def _configured(words: list[str]) -> None:
    """Presets as the files they stand for, in place; no file that is not sound."""
    words[:] = with_presets(words)
    require_sound(config_paths(words))


def _values(parser: ArgumentParser, chosen: Namespace) -> Values:
    """The chosen command's values, classes made."""
    given = chosen[chosen.command].get("sampling")
    if isinstance(given, bool | int | float | str):  # which the parser lets pass as flags
        raise ValueError(f"sampling must give its settings by name, such as fps: 1.0, got {given}")
    return parser.instantiate(chosen)[chosen.command].as_dict()


def _run(name: str, command: Callable[[], None], debug: bool) -> int:
    try:
        command()
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"crossframe {name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"crossframe {name}: interrupted", file=sys.stderr)
        return 130
    return 0


def _ablate(values: Values) -> None:
    from ..ablation.report import PAGE
    from ..ablation.run import ablate

    options, console = options_from(AblateOptions, values), _messages()
    study = ablate(options, interactive=console.is_terminal, say=console.print)
    if study is not None:  # of several processes, the first one tells
        _tell(options.output / PAGE, Console())


def _ask(values: Values) -> None:
    stream = options_from(StreamOptions, values)
    memory = memory_from(values["memory"], options_from(MemoryDefaults, values))
    media = open_media(values["video"], stream)
    model = _load(options_from(ModelOptions, values))
    ask(model, memory, media, values["question"], stream=stream, console=_messages())


def _compare(values: Values) -> None:
    stream = options_from(StreamOptions, values)
    choices = _choices(values)
    media = open_media(values["video"], stream)
    report_folder(values["report"])
    model = _load(options_from(ModelOptions, values))
    question = values["question"]
    done = compare(model, choices, media, question, stream=stream, console=_messages())
    _report(done, model, values)


def _choices(values: Values) -> Choices:
    for name in ("readers", "archives"):
        require_distinct(name, values[name])
    if values["simple_stream_images"] and values["simple_stream"] is None:
        raise ValueError("--simple-stream-images: say of how many frames with --simple-stream")
    return Choices(
        memories_from(values["memories"], options_from(MemoryDefaults, values)),
        {spec: reader_from(spec) for spec in values["readers"]},
        {spec: archive_from(spec) for spec in values["archives"]},
        values["simple_stream"],
        values["simple_stream_images"],
    )


def _demo(values: Values) -> None:
    video = values["video"] or str(demo.demo_video())
    media = open_media(video, demo.STREAM)
    report_folder(values["report"])
    with one_thread():
        model = demo.demo_model()
        defaults = demo.equal_budgets(model)
        choices = Choices(memories_from(demo.MEMORIES, defaults))
        question, stream = values["question"], demo.STREAM
        done = compare(model, choices, media, question, stream=stream, console=_messages())
        settings = {"model": "tiny untrained InternVL3", **asdict(stream), **asdict(defaults)}
        _report(done, model, {**values, "video": video, **settings}, demo.NOTE)


def _evaluate(values: Values) -> None:
    from ..evaluation.run import evaluate
    from ..evaluation.summary import print_summary

    options, console = options_from(EvaluateOptions, values), Console()
    results = evaluate(options, interactive=console.is_terminal)
    if results is not None:  # of several processes, the first one tells
        print_summary(results, options.output, console)


def _evidence(values: Values) -> None:
    from ..evidence.command import evidence

    console = Console()
    _tell(evidence(options_from(EvidenceOptions, values), _messages(), console), console)


def _observe(values: Values) -> None:
    from ..observation.run import observe, open_videos

    options, defaults = (
        options_from(ObserveOptions, values),
        options_from(MemoryDefaults, values),
    )
    memory = memory_from(values["memory"], defaults)
    videos = open_videos(values["videos"], options)
    report_folder(options.output, "--output")
    model = _load(options_from(ModelOptions, values))
    settings = {name: value for name, value in values.items() if name not in ("debug", "output")}
    _tell(observe(model, videos, memory, options, settings, _messages()), Console())


def _report(comparison: Comparison, model: VideoModel, values: Values, note: str = "") -> None:
    """Print the results and write the report, if one is wanted."""
    console = Console()
    rows = comparison.rows()
    print_results(rows, console, note)
    print_grid(rows, console)
    if values["report"]:
        config = {name: value for name, value in values.items() if name not in ("debug", "report")}
        report = Report(rows, comparison.step_rows(), config, environment(model), note)
        _tell(report.write(values["report"]), console)


def _tell(page: Path, console: Console) -> None:
    console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)


def _load(options: ModelOptions) -> VideoModel:
    with _messages().status(f"loading {options.model}") as status, _log_on(status.console):
        return options.load()


@contextmanager
def _log_on(console: Console) -> Iterator[None]:
    """What loading logs, on the console."""
    from rich.logging import RichHandler

    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    logger = logging.getLogger("crossframe")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _messages() -> Console:
    """Where progress, warnings and costs go, apart from answers and tables."""
    return Console(stderr=True)


# Name: usage, summary, what adds its arguments, and what it does with their values.
_COMMANDS: Mapping[
    str, tuple[str, str, Callable[[ArgumentParser], None], Callable[[Values], None]]
] = {
    "ablate": (
        "--config FILE",
        "Compare memories over sizes, wrappers, readers and models at equal budgets, into one "
        "page; run again to go on after a stop.",
        configured(AblateOptions),
        _ablate,
    ),
    "ask": (
        "VIDEO QUESTION --model MODEL",
        "Answer one question about a video, word by word.",
        add_ask,
        _ask,
    ),
    "compare": (
        "VIDEO QUESTION --model MODEL",
        "Run several memories on the same frames and compare answers and costs. Full attention "
        "always runs as the reference, and all sessions are held at once.",
        add_compare,
        _compare,
    ),
    "demo": (
        "[VIDEO]",
        "Compare the main memories at equal budgets on a tiny untrained model, whose answers "
        "mean nothing.",
        add_demo,
        _demo,
    ),
    "evaluate": (
        "--config FILE",
        "Score memories, readers and archives on a benchmark; run again to go on after a stop.",
        configured(EvaluateOptions),
        _evaluate,
    ),
    "evidence": (
        "(--preset quick | --config FILE)",
        "Measure what memories lose on a pretrained text decoder, into one page; run again to "
        "go on after a stop.",
        configured(EvidenceOptions, "; --preset NAME takes one that comes along"),
        _evidence,
    ),
    "observe": (
        "VIDEO [VIDEO ...] --model MODEL",
        "Measure where full attention's mass goes, as the StateKV paper's appendix does, and "
        "picture which patches a memory still holds.",
        add_observe,
        _observe,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
