"""Lightning's Trainer as a config file describes it, without the talk that helps nobody here."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar
from lightning.pytorch.loggers import CSVLogger

# Facts about accelerators and process groups, advertisements.
CHATTY = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.distributed")
# Batches are plans of a few bytes, and a process may have none; no logger is chosen for the user.
EMPTY_WARNINGS = (
    ".*does not have many workers",
    ".*within local rank has zero length",
    ".*across ranks is zero, but local rank has zero",
    r".*isinstance\(treespec, LeafSpec\)",  # of Lightning to itself
)
MOST_PROCESSES = 64
NOT_HERE = {
    "precision": "set model.dtype",
    "use_distributed_sampler": "every process takes its share of the passes anyway",
}


def make_trainer(
    settings: Mapping[str, Any], folder: Path, callback: Callback, *, interactive: bool
) -> lightning.Trainer:
    """The Trainer with these settings.

    Args:
        settings: Trainer's arguments as plain data; loggers, callbacks, strategies and plugins by
            name or as class_path and init_args.
        folder: of the run; a CSV log goes there unless another logger, or false, is given.
        callback: besides those in the settings.
        interactive: draw a progress bar.

    Raises:
        ValueError: for settings that Trainer does not have or cannot use.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    for name in settings.keys() & NOT_HERE.keys():
        raise ValueError(f"trainer: {name} cannot be set here: {NOT_HERE[name]}")
    _require_processes(settings)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(lightning.Trainer, "trainer", instantiate=False)
    try:
        parsed = parser.parse_object({"trainer": _defaults(folder, interactive) | dict(settings)})
        chosen = parser.instantiate(parsed).trainer.as_dict()
        callbacks = [*_listed(chosen.pop("callbacks")), callback]
        bars = any(isinstance(one, ProgressBar) for one in callbacks)
        if chosen["enable_progress_bar"] and not bars:
            callbacks.append(RichProgressBar())
        if chosen["logger"] is None:
            chosen["logger"] = CSVLogger(folder, name="log")
        # Of Union[int, float] jsonargparse takes the first that fits, and typing keeps the order in
        # which anyone wrote that union first: 1, one batch, may come back as 1.0, all batches.
        numbers = {name: value for name, value in settings.items() if isinstance(value, int)}
        return lightning.Trainer(**chosen | numbers, callbacks=callbacks)
    except (ArgumentError, MisconfigurationException) as error:
        raise ValueError(f"trainer: {error}") from error
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, OSError) as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"trainer: {dict(settings)!r:.200} cannot be used ({said}); see Lightning's Trainer"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's tips and without warnings that say nothing to the user."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in EMPTY_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _require_processes(settings: Mapping[str, Any]) -> None:
    """Refuse more processes than a machine runs: Lightning would start them all."""
    most = max(MOST_PROCESSES, os.cpu_count() or 1)
    for name in ("devices", "num_nodes"):
        value = settings.get(name)
        count = len(value) if isinstance(value, list) else value
        if isinstance(count, str) and count.strip().lstrip("+-").isdigit():
            count = int(count)
        if not isinstance(count, int | float) or (count == -1 and name == "devices"):
            continue  # "auto", or for Lightning to judge
        if not 1 <= count <= most:
            raise ValueError(
                f"trainer: {name} is {value!r:.60}, but must lie in 1 to {most}; every one is a "
                "process that holds the model"
            )


def _defaults(folder: Path, interactive: bool) -> dict[str, Any]:
    return {
        "default_root_dir": str(folder),
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": interactive,
        "use_distributed_sampler": False,
    }


def _listed(callbacks: list[Callback] | Callback | None) -> list[Callback]:
    if callbacks is None:
        return []
    return callbacks if isinstance(callbacks, list) else [callbacks]
