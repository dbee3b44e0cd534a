"""Commands that run a study: what each does with its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ..ablation.options import AblateOptions
from ..evaluation.options import EvaluateOptions
from ..evidence.options import EvidenceOptions
from ..pretraining.options import JUDGE, TRAIN, LessonOptions, PretrainOptions
from .arguments import configured, options_from
from .console import messages, tell

Values = Mapping[str, Any]

add_ablate = configured(AblateOptions)
add_evaluate = configured(EvaluateOptions)
add_evidence = configured(EvidenceOptions, more="; --preset NAME takes one that comes along")
add_pretrain = configured(PretrainOptions, LessonOptions)


def run_ablate(values: Values) -> None:
    """A grid of memories to one page."""
    from ..ablation.report import PAGE
    from ..ablation.run import ablate

    options, console = options_from(AblateOptions, values), messages()
    study = ablate(options, interactive=console.is_terminal, say=console.print)
    if study is not None:  # of several processes, the first one tells
        tell(options.output / PAGE, Console())


def run_evaluate(values: Values) -> None:
    """A benchmark through cells."""
    from ..evaluation.run import evaluate
    from ..evaluation.summary import print_summary

    options, console = options_from(EvaluateOptions, values), Console()
    results = evaluate(options, interactive=console.is_terminal)
    if results is not None:  # of several processes, the first one tells
        print_summary(results, options.output, console)


def run_evidence(values: Values) -> None:
    """Suites on a pretrained decoder."""
    from ..evidence.command import evidence

    console = Console()
    tell(evidence(options_from(EvidenceOptions, values), messages(), console), console)


def run_pretrain(values: Values) -> None:
    """A tiny model of a real family, trained and scored."""
    from transformers.utils import logging

    from ..pretraining.card import command_line
    from ..pretraining.command import pretrain

    logging.disable_progress_bar()  # the command shows its own
    options, lessons = options_from(PretrainOptions, values), options_from(LessonOptions, values)
    taught, judged = (lessons.course(options.family, part) for part in (TRAIN, JUDGE))
    typed = command_line(options, lessons)
    tell(pretrain(options, taught, judged, messages(), typed), Console())
