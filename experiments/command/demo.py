"""The demo's model and settings: everything real but the weights."""

from __future__ import annotations

from pathlib import Path

import torch

from ...framework import Cursor, VideoModel
from ...models import InternVL3
from ...models.tiny import tiny_internvl
from ..streaming.options import StreamOptions
from ..streaming.rule_text import MemoryDefaults

NOTE = (
    "The model of this demo is tiny and untrained (random weights), so its answers mean nothing. "
    "Costs, bytes and differences to full attention are measured on real runs of that tiny model "
    "and say little about a trained one."
)
QUESTION = "What moves, and which way?"
MEMORIES = ("full", "statekv", "window", "recency", "drop")
FRAMES_CARRIED = 4  # few, so that eviction begins early in a short video
STREAM = StreamOptions(fps=2.0, max_frames=64, max_new_tokens=12)


def demo_video() -> Path:
    """The bundled video."""
    return Path(__file__).parents[1] / "assets" / "demo.mp4"


def demo_model() -> VideoModel:
    """An untrained InternVL3 with 64 visual tokens a frame: enough for attention to cost time."""
    return InternVL3(*tiny_internvl(image_size=224, hidden=128, heads=8))


def equal_budgets(model: VideoModel) -> MemoryDefaults:
    """The same number of slots for every bounded memory: that of a few whole frames."""
    blank = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    with torch.no_grad():
        # Numbers of two digits, which most frames have, are one token longer.
        tokens = model.encode(blank, [0.0], Cursor(frames=10)).num_tokens
    return MemoryDefaults(capacity=FRAMES_CARRIED * tokens, window=FRAMES_CARRIED)
