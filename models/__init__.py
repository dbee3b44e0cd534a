"""Adapters: one per model family, behind the same `VideoModel` door."""

from .decoder import DecoderModel
from .eagle2_5 import Eagle2_5
from .internvl3 import InternVL3
from .loading import load_model
from .qwen3_vl import Qwen3VL

__all__ = ["DecoderModel", "Eagle2_5", "InternVL3", "Qwen3VL", "load_model"]
