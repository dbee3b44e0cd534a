"""Adapters: one per model family, behind the same `VideoModel` door."""

from .decoder import DecoderModel
from .internvl3 import InternVL3
from .loading import load_model

__all__ = ["DecoderModel", "InternVL3", "load_model"]
