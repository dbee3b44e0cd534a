"""The table of commands. What adds a command's arguments and what runs it is named, not imported:
a help text or a missing file is told before anything large is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

Values = Mapping[str, Any]
# In place of a video: the first camera. Others are addresses, webcam://1 and so on.
WEBCAM = "webcam"


class Command(NamedTuple):
    """One command.

    Attributes:
        usage: its arguments in short.
        summary: what it does, in a sentence or two.
        arguments, action: "module:function" of this package: what adds its arguments to a parser,
            and what it does with their values.
        files: how many of its first words name files; None: all of them.
    """

    usage: str
    summary: str
    arguments: str
    action: str
    files: int | None = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add them to a parser."""
        _named(self.arguments)(parser)

    def run(self, values: Values) -> None:
        """Run it with the values of its arguments."""
        _named(self.action)(values)

    def named_files(self, words: list[str]) -> list[str]:
        """The files among the words behind its name."""
        leading = takewhile(lambda word: not word.startswith("-"), words)
        return list(leading)[: self.files]


def _named(place: str) -> Callable[[Any], None]:
    module, _, name = place.partition(":")
    return vars(import_module(f".{module}", __package__))[name]


COMMANDS: Mapping[str, Command] = {
    "ablate": Command(
        "--config FILE",
        "Compare memories over sizes, wrappers, readers and models at equal budgets, into one "
        "page; run again to go on after a stop.",
        "studies:add_ablate",
        "studies:run_ablate",
    ),
    "ask": Command(
        "VIDEO [QUESTION ...] [--at SECONDS QUESTION ...] --model MODEL",
        "Answer questions about a video, each when its time has come, word by word.",
        "arguments:add_ask",
        "asking:run_ask",
        files=1,
    ),
    "chat": Command(
        "VIDEO --model MODEL",
        "Talk about a video while it streams in: type questions at any time; answers come word by "
        "word, and each reads the turns before it.",
        "arguments:add_chat",
        "asking:run_chat",
        files=1,
    ),
    "compare": Command(
        "VIDEO QUESTION --model MODEL",
        "Run several memories on the same frames and compare answers and costs. Full attention "
        "always runs as the reference, and all sessions are held at once.",
        "arguments:add_compare",
        "on_videos:run_compare",
        files=1,
    ),
    "demo": Command(
        "[VIDEO]",
        "Show what a tiny trained model answers with the main memories, at equal budgets, about a "
        "drawn video whose answers are known.",
        "arguments:add_demo",
        "on_videos:run_demo",
        files=1,
    ),
    "evaluate": Command(
        "--config FILE",
        "Score memories, readers and archives on a benchmark; run again to go on after a stop.",
        "studies:add_evaluate",
        "studies:run_evaluate",
    ),
    "evidence": Command(
        "(--preset quick | --config FILE)",
        "Measure what memories lose on a pretrained text decoder, into one page; run again to "
        "go on after a stop.",
        "studies:add_evidence",
        "studies:run_evidence",
    ),
    "observe": Command(
        "VIDEO [VIDEO ...] --model MODEL",
        "Measure where full attention's mass goes, as the StateKV paper's appendix does, and "
        "picture which patches a memory still holds.",
        "arguments:add_observe",
        "on_videos:run_observe",
        files=None,
    ),
    "pretrain": Command(
        "--family FAMILY --output FOLDER",
        "Train a tiny model of a real family on drawn videos until it answers, and score it; run "
        "again to go on after a stop.",
        "studies:add_pretrain",
        "studies:run_pretrain",
    ),
    "testbed": Command(
        "OUTPUT --layout LAYOUT",
        "Write generated videos and questions whose answers and evidence are known, in the files "
        "of a published benchmark.",
        "testbed:add_testbed",
        "testbed:run_testbed",
    ),
}
