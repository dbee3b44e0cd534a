"""The two parts of training: what single frames show, then what videos have shown."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, rms_norm

from ..testbed.lessons import Course
from .batches import LESSONS, SEEDS, Batches
from .families import Trainable
from .options import PretrainOptions
from .packing import packed_hidden

Row = dict[str, float]
LOGGED_EVERY = 10  # steps
SLOWEST = 0.02  # of the learning rate, at the end


@dataclass(frozen=True)
class Pace:
    """How the learning rate goes: up in `warm_up` steps, on to the middle, then a half cosine."""

    highest: float
    steps: int
    warm_up: int = 0

    def share(self, step: int) -> float:
        """Of the highest learning rate, in the step after so many."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        fallen = max(0.0, 2 * step / self.steps - 1)
        return rise * (SLOWEST + (1 - SLOWEST) * (1 + math.cos(math.pi * min(1.0, fallen))) / 2)


class Part(LightningModule):
    """Steps whose lessons follow from their number, so that a part goes on wherever it was stopped.

    Args:
        model: the adapter; its weights are trained in place.
        pace: of the learning rate.

    Attributes:
        rows: of the curves so far, kept with the weights.
        seconds: of processor time of the steps so far, kept with the weights; of steps that a stop
            has lost nothing is counted.
    """

    name: str

    def __init__(self, model: Trainable, pace: Pace) -> None:
        super().__init__()
        self.model, self.pace = model, pace
        self.weights: nn.Module = model.hf_model
        self.rows: list[Row] = []
        self.seconds = 0.0
        self._since = time.process_time()

    def taught(self) -> Iterator[nn.Parameter]:
        """The weights that this part changes."""
        raise NotImplementedError

    def lesson(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """The loss of a step, and the accuracy of each task."""
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        del stage
        self.weights.train()
        self.weights.requires_grad_(False)
        for weight in self.taught():
            weight.requires_grad_(True)

    def on_train_start(self) -> None:
        self._since = time.process_time()

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        del batch, batch_idx
        step = self.global_step
        loss, accuracy = self.lesson(step)
        last = step == self.pace.steps - 1
        if step % LOGGED_EVERY == 0 or last:
            self.rows.append({"step": step, "loss": loss.item(), **accuracy})
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=1)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            list(self.taught()), lr=self.pace.highest, betas=(0.9, 0.98), weight_decay=0.02
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.pace.share)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        now = time.process_time()
        self.seconds, self._since = self.seconds + now - self._since, now
        checkpoint["rows"], checkpoint["seconds"] = self.rows, self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.rows, self.seconds = checkpoint["rows"], checkpoint["seconds"]


class VisionPart(Part):
    """Vision tower and projector learn to tell what single frames show, by one linear head for each
    kind of label, which is thrown away afterwards. Taught together with the decoder from scratch,
    they stall on shapes."""

    name = "vision"

    def __init__(self, model: Trainable, course: Course, options: PretrainOptions) -> None:
        super().__init__(model, Pace(options.vision_learning_rate, options.vision_steps, 20))
        self.course, self.options = course, options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.heads = nn.ModuleDict(
                {  # a class more: nothing of the kind
                    kind: nn.Linear(model.spec.hidden, classes + 1)
                    for kind, classes in course.labels.items()
                }
            )

    def taught(self) -> Iterator[nn.Parameter]:
        decoders = set(decoder_weights(self.model))
        yield from (weight for weight in self.weights.parameters() if weight not in decoders)
        yield from self.heads.parameters()

    def lesson(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        first = self.options.seed * LESSONS + step
        frames, labels = self.course.stills(first % SEEDS, self.options.stills)
        features = self.model.features(frames.repeat_interleave(self.model.frames_per_patch, 0))
        seen = sum(_per_frame(found) for found in features.values())
        losses, accuracy = [], {}
        for kind, head in self.heads.items():
            logits = head(seen)
            classes = labels[kind] % logits.shape[1]
            losses.append(cross_entropy(logits, classes))
            accuracy[kind] = float((logits.detach().argmax(-1) == classes).float().mean())
        return torch.stack(losses).mean(), accuracy


class DecoderPart(Part):
    """The decoder learns to answer, while vision stays as it is."""

    name = "decoder"

    def __init__(self, model: Trainable, course: Course, options: PretrainOptions) -> None:
        super().__init__(model, Pace(options.learning_rate, options.steps, 60))
        self.batches = Batches(model, course, options)

    def taught(self) -> Iterator[nn.Parameter]:
        yield from decoder_weights(self.model)

    def lesson(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        batch = self.batches.batch(step)
        with torch.no_grad():
            features = self.model.features(batch.frames)
        hidden = packed_hidden(self.model, batch.packed, features)
        targets = batch.targets
        logits = self.model.logits(hidden[targets.rows, targets.columns])
        return targets.loss(logits), targets.accuracy(logits)


def decoder_weights(model: Trainable) -> list[nn.Parameter]:
    """Those of the text decoder and its head, each once."""
    head: Any = model.hf_model.get_output_embeddings()
    return list(dict.fromkeys([*model.decoder.parameters(), *head.parameters()]))


def _per_frame(found: Tensor) -> Tensor:
    """[patches, hidden] of features [patches, tokens, hidden], maybe at several levels: the mean
    of tokens of one size, as the decoder's norms leave them. Heads on features as they are let
    their sizes grow and carry what the decoder then cannot see."""
    sized = rms_norm(found, found.shape[-1:])
    return sized.flatten(1, -2).mean(1)
