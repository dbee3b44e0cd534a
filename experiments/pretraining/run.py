"""Training from the first weights to a folder that `load_model` reads; goes on after any stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from ..evaluation.folder import read_json, write_json
from ..evaluation.trainer import quiet
from ..streaming.environment import one_thread
from ..testbed.lessons import Course
from .checkpoint import save_trained
from .curves import write_curves
from .families import Trainable, trainable
from .options import PretrainOptions
from .parts import DecoderPart, Part, VisionPart
from .starting import take_weights

SETTINGS, PARTS = "pretrain.json", "parts"
MINUTES = "minutes.json"  # of processor time by part, on one thread


def train(
    options: PretrainOptions,
    course: Course,
    *,
    interactive: bool = False,
    say: Callable[[str], None] | None = None,
) -> Trainable:
    """Train a model on a course, and write its checkpoint and curves.

    A run that was stopped, in whatever way, goes on from the last checkpoint of its part and ends
    with the same bits. Lessons, order and sums do not depend on where it was stopped; they may
    differ on another machine.

    Args:
        interactive: whether a person looks on, who is shown a bar.
        say: is told how far it is, at every checkpoint.

    Raises:
        ValueError: if the folder was begun with other settings, naming them.
    """
    folder = options.output
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    _require_same(folder, options.identity | {"course": course_name(course)})
    with one_thread():
        model = trainable(options.family, course.words, options.seed)
        take_weights(model, options)
        minutes = {}
        for kind in (VisionPart, DecoderPart) if options.vision is None else (DecoderPart,):
            part = kind(model, course, options)
            _fit(part, options, interactive, say)
            write_curves(folder, part.name, part.rows)
            minutes[part.name] = part.seconds / 60
        write_json(folder / MINUTES, minutes)
        save_trained(model, folder)
    return model


class Keeping(Callback):
    """Writes a checkpoint every so many steps and at the end, whole or not at all."""

    def __init__(self, path: Path, every: int, say: Callable[[str], None] | None) -> None:
        self.path, self.every, self.say = path, every, say

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        del pl_module, args, kwargs
        step = trainer.global_step
        if step % self.every == 0 or step == trainer.max_steps:
            partial = self.path.with_suffix(".partial")
            trainer.save_checkpoint(partial, weights_only=False)  # the optimizer's state too
            os.replace(partial, self.path)
            if self.say is not None:
                loss = float(trainer.callback_metrics["loss"])
                self.say(f"{self.path.stem}: step {step} of {trainer.max_steps}, loss {loss:.3f}")


@dataclass(frozen=True)
class Steps:
    """So many steps. A part makes each one's lessons from its number, so nothing is held here that
    a resumed run would have to restore, which is what Lightning asks about."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        del state


def _fit(
    part: Part,
    options: PretrainOptions,
    interactive: bool,
    say: Callable[[str], None] | None,
) -> None:
    path = options.output / PARTS / f"{part.name}.ckpt"
    bars: list[Callback] = [RichProgressBar()] if interactive else []
    steps: Any = Steps(part.pace.steps)
    with quiet():
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=part.pace.steps,
            max_epochs=1,
            gradient_clip_val=1.0,
            callbacks=[Keeping(path, options.keep_every, say), *bars],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=interactive,
        )
        begun = str(path) if path.is_file() else None
        trainer.fit(part, steps, ckpt_path=begun, weights_only=True)
    part.weights.eval()


def course_name(course: Course) -> str:
    """A course with its settings, where it is a dataclass; its class otherwise."""
    return repr(course) if is_dataclass(course) else type(course).__qualname__


def _require_same(folder: Path, now: Mapping[str, Any]) -> None:
    """Seal the folder with the settings, or compare with those it was begun with."""
    path = folder / SETTINGS
    if not path.is_file():
        write_json(path, now)
        return
    before = read_json(path, "delete the folder, or give another one")
    changed = [
        f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise ValueError(
            f"{folder} was begun with other settings ({'; '.join(changed)}): give another output "
            "folder, or the same settings to go on"
        )
