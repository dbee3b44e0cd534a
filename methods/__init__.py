"""Cross-frame memories, one rule per file."""

from ..framework import FullMemory
from .isolated_frames import IsolatedFramesMemory
from .random_slots import RandomMemory
from .recency import RecencyMemory
from .sinks_and_recent import SinksAndRecentMemory
from .sliding_window import SlidingWindowMemory
from .statekv import StateKVMemory
from .token_dropping import TokenDroppingMemory

__all__ = [
    "FullMemory",
    "IsolatedFramesMemory",
    "RandomMemory",
    "RecencyMemory",
    "SinksAndRecentMemory",
    "SlidingWindowMemory",
    "StateKVMemory",
    "TokenDroppingMemory",
]
