"""The table of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..ablation.options import AblateOptions
from ..evaluation.options import EvaluateOptions
from ..evidence.options import EvidenceOptions
from ..pretraining.options import LessonOptions, PretrainOptions
from .arguments import add_ask, add_compare, add_demo, add_observe, configured
from .on_videos import run_ask, run_compare, run_demo, run_observe
from .studies import run_ablate, run_evaluate, run_evidence, run_pretrain
from .testbed import add_testbed, run_testbed

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

Values = Mapping[str, Any]

# Name: usage, summary, what adds its arguments, and what it does with their values.
COMMANDS: Mapping[
    str, tuple[str, str, Callable[[ArgumentParser], None], Callable[[Values], None]]
] = {
    "ablate": (
        "--config FILE",
        "Compare memories over sizes, wrappers, readers and models at equal budgets, into one "
        "page; run again to go on after a stop.",
        configured(AblateOptions),
        run_ablate,
    ),
    "ask": (
        "VIDEO QUESTION --model MODEL",
        "Answer one question about a video, word by word.",
        add_ask,
        run_ask,
    ),
    "compare": (
        "VIDEO QUESTION --model MODEL",
        "Run several memories on the same frames and compare answers and costs. Full attention "
        "always runs as the reference, and all sessions are held at once.",
        add_compare,
        run_compare,
    ),
    "demo": (
        "[VIDEO]",
        "Show what a tiny trained model answers with the main memories, at equal budgets, about a "
        "drawn video whose answers are known.",
        add_demo,
        run_demo,
    ),
    "evaluate": (
        "--config FILE",
        "Score memories, readers and archives on a benchmark; run again to go on after a stop.",
        configured(EvaluateOptions),
        run_evaluate,
    ),
    "evidence": (
        "(--preset quick | --config FILE)",
        "Measure what memories lose on a pretrained text decoder, into one page; run again to "
        "go on after a stop.",
        configured(EvidenceOptions, more="; --preset NAME takes one that comes along"),
        run_evidence,
    ),
    "observe": (
        "VIDEO [VIDEO ...] --model MODEL",
        "Measure where full attention's mass goes, as the StateKV paper's appendix does, and "
        "picture which patches a memory still holds.",
        add_observe,
        run_observe,
    ),
    "pretrain": (
        "--family FAMILY --output FOLDER",
        "Train a tiny model of a real family on drawn videos until it answers, and score it; run "
        "again to go on after a stop.",
        configured(PretrainOptions, LessonOptions),
        run_pretrain,
    ),
    "testbed": (
        "OUTPUT --layout LAYOUT",
        "Write generated videos and questions whose answers and evidence are known, in the files "
        "of a published benchmark.",
        add_testbed,
        run_testbed,
    ),
}
