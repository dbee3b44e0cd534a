"""What a model begins with: weights of a checkpoint instead of drawn ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ...models import load_model
from .families import Trainable
from .options import PretrainOptions
from .parts import decoder_weights


def take_weights(model: Trainable, options: PretrainOptions) -> None:
    """Copy the weights that `options.vision` and `options.decoder` name, where they do.

    Raises:
        ValueError: for a checkpoint of another family, other words or other sizes.
    """
    for checkpoint, decoders in ((options.vision, False), (options.decoder, True)):
        if checkpoint is not None:
            _take(model, checkpoint, decoders)


@torch.no_grad()
def _take(model: Trainable, checkpoint: str, decoders: bool) -> None:
    loaded: Any = load_model(checkpoint, device="cpu", dtype="float32")
    _require_alike(model, loaded, checkpoint)
    given = dict(loaded.hf_model.named_parameters())
    for name, weight in _chosen(model, decoders):
        weight.copy_(given[name])


def _chosen(model: Trainable, decoders: bool) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights of the decoder, or all others."""
    known = {id(weight) for weight in decoder_weights(model)}
    for name, weight in model.hf_model.named_parameters():
        if (id(weight) in known) == decoders:
            yield name, weight


def _require_alike(model: Trainable, loaded: Any, checkpoint: str) -> None:
    if type(loaded) is not type(model):
        raise ValueError(
            f"{checkpoint} is of the adapter {type(loaded).__name__}, the model to be trained of "
            f"{type(model).__name__}: give a checkpoint of the same family"
        )
    if _words(loaded) != _words(model):
        raise ValueError(
            f"{checkpoint} reads other words than the course has: give one that was trained on a "
            "course with the same words"
        )
    given, own = (
        {name: tuple(weight.shape) for name, weight in one.hf_model.named_parameters()}
        for one in (loaded, model)
    )
    if given != own:
        other = [name for name in given.keys() | own.keys() if given.get(name) != own.get(name)]
        raise ValueError(
            f"{checkpoint} has weights of other sizes ({', '.join(sorted(other)[:3])}): give one "
            "that crossframe pretrain made"
        )


def _words(model: Any) -> dict[str, int]:
    tokenizer: Any = model.processor.tokenizer
    return tokenizer.get_vocab()
