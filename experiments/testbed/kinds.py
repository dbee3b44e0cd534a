"""What can be shown: shapes, colours, backgrounds, and the names of places and sides."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
# None is above 240, so that noise on top of it never overflows.
COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (215, 25, 30),
        "orange": (240, 135, 15),
        "yellow": (238, 230, 40),
        "green": (25, 160, 45),
        "cyan": (60, 215, 225),
        "blue": (35, 60, 225),
        "purple": (150, 40, 200),
        "white": (240, 240, 240),
    }
)
COLOUR_NAMES = tuple(COLOURS)
# Two plain tints, four patterns, two gradients; `backgrounds.py` draws them.
BACKGROUNDS = ("slate", "umber", "rows", "columns", "diagonals", "checks", "rise", "slope")
# Where a frame has its object: by the centre's half, upper before lower, left before right.
QUADRANTS = 4
# Where one of three cups stands.
CUPS = ("left", "middle", "right")
# By which side an object leaves.
SIDES = ("left", "right", "up", "down")
