"""InternVL3, also from its original checkpoints."""

from .adapter import InternVL3 as InternVL3
