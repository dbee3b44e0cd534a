"""`crossframe evaluate`: any model x memory x reader on a benchmark, resumable at any moment."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import lightning

from ...framework.video import probe_video
from ..environment import commit, machine
from .folder import config_hash, run_folder, wait_for_others
from .module import Evaluation, PassData
from .options import EvaluateOptions
from .passes import PassRunner, unanswered
from .plan import Pass, Refused, Sampled, Work, owing, plan_passes, sample_videos
from .rows import Row, RowFile, key_of, read_rows
from .summary import summarise
from .trainer import make_trainer, quiet
from .writer import RowWriter

Outcome = dict[str, Any]


def evaluate(options: EvaluateOptions, *, interactive: bool = False) -> Outcome | None:
    """Ask what has no row yet, then sum up all rows.

    Args:
        interactive: draw a progress bar.

    Returns:
        What goes to `summary.json`; None in all processes but the first.

    Raises:
        ValueError: for settings that cannot work, a folder of another run, or (strict) a video
            that is missing or cannot be read.
    """
    writer = RowWriter(options.output, list(options.cells))
    with quiet():
        trainer = make_trainer(
            options.trainer, options.output, writer, interactive=interactive
        )
        place = trainer.global_rank, trainer.world_size
        with run_folder(options.output, options.identity, *place):
            run = _Run(options, trainer)
            
    
