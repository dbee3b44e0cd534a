"""Adapters: one per model family, behind the same `VideoModel` door."""

from .decoder import DecoderModel
from .eagle2_5 import Eagle2_5
from .internvl3 import InternVL3
from .loading import load_model

__all__ = ["DecoderModel", "Eagle2_5", "InternVL3", "load_model"]
