"""What a question on the terminal says besides its answer."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import torch
from rich.console import Console

from crossframe.experiments.command.ask import ask
from crossframe.experiments.streaming.frames import VideoFrames
from crossframe.experiments.streaming.options import StreamOptions
from crossframe.methods import StateKVMemory
from crossframe.models import load_model


def test_nan_inside_the_model_is_told_beside_the_answer(video: Path, checkpoint: Path) -> None:
    model, stream = load_model(checkpoint), StreamOptions(max_new_tokens=4)
    for weight in (1.0, float("nan")):
        with torch.no_grad():
            model.decoder.layers[1].mlp.down_proj.weight[0, 0] = weight
        told, frames = StringIO(), VideoFrames(video, stream)
        console = Console(file=told, width=500)
        memory = StateKVMemory(16)
        ask(model, memory, frames, "What?", stream=stream, console=console, out=StringIO())
        assert ("WARNING: the model computed NaN or Inf" in told.getvalue()) is (weight != 1.0)
