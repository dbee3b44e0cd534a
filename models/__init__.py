"""Adapters: one per model family, behind the same `VideoModel` door."""

from .decoder import DecoderModel
from .eagle2_5 import Eagle2_5
from .internvl3 import InternVL3
from .llava_onevision import LlavaOnevision
from .loading import load_model
from .qwen2_5_vl import Qwen2_5VL
from .qwen3_vl import Qwen3VL

__all__ = [
    "DecoderModel",
    "Eagle2_5",
    "InternVL3",
    "LlavaOnevision",
    "Qwen2_5VL",
    "Qwen3VL",
    "load_model",
]
