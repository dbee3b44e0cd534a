"""A trained model as a checkpoint's folder, in half the bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .families import Trainable


@torch.no_grad()
def save_trained(model: Trainable, folder: Path) -> None:
    """Write weights, configuration, processor and tokenizer; `load_model` reads them.

    Weights are rounded to what float16 holds, in the model as well, and stored so; the
    configuration says float32, in which they are loaded and computed with.
    """
    trained: Any = model.hf_model
    for weight in trained.parameters():
        weight.copy_(weight.half())
    halves = {name: weight.half() for name, weight in trained.state_dict().items()}
    trained.save_pretrained(folder, state_dict=halves)
    model.processor.save_pretrained(folder)
