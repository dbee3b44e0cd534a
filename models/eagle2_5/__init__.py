"""Eagle2.5 as a native module, its processing and its checkpoints."""

from .adapter import Eagle2_5 as Eagle2_5
