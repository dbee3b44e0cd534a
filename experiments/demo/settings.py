"""The demo's model, memories and budgets."""

from __future__ import annotations

import torch

from ...framework import Cursor, VideoModel
from ..streaming.options import ModelOptions, StreamOptions
from ..streaming.rule_text import MemoryDefaults
from .clip import SECONDS

MODEL = ModelOptions("crossframe/tiny-internvl3")
MEMORIES = ("full", "statekv", "window", "recency", "sinks", "drop")
PICTURED = ("statekv", "window")
FRAMES_CARRIED = 3  # a tenth of the bundled video
STREAM = StreamOptions(fps=1 / SECONDS, max_frames=64, max_new_tokens=3)
FURTHER = 100  # clips

OWN_VIDEO = (
    "This model knows drawn shapes and 56 words only: of any other video or question its answers "
    "mean nothing. Costs, bytes and differences to full attention are measured all the same; "
    "`crossframe compare` takes a checkpoint of your own."
)
QUESTION = "what colour is it ?"


def equal_budgets(model: VideoModel) -> MemoryDefaults:
    """The same number of slots for every bounded memory: that of a few whole frames."""
    blank = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    with torch.no_grad():
        # Numbers of two digits, which most frames have, are one token longer.
        tokens = model.encode(blank, [0.0], Cursor(frames=10)).num_tokens
    return MemoryDefaults(capacity=FRAMES_CARRIED * tokens, window=FRAMES_CARRIED)
