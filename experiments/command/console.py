"""What commands write beside their answers: progress, what loading logs, where a report is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ...framework import VideoModel
from ..streaming.options import ModelOptions


def tell(page: Path, console: Console) -> None:
    """Where the report is."""
    console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)


def load(options: ModelOptions) -> VideoModel:
    """The model, with what loading logs on the console."""
    with messages().status(f"loading {options.model}") as status, _log_on(status.console):
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


def messages() -> Console:
    """Where progress, warnings and costs go, apart from answers and tables."""
    return Console(stderr=True)
