"""What a clip shows, frame by frame and scene by scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """Frames that show one object.

    Attributes:
        start, end: its frames, `end` excluded.
        shape, colour: classes, as in `kinds`.
        side: by which side it leaves; -1 where it does not.
        cup: under which cup it comes to lie; -1 where there are none.
    """

    start: int
    end: int
    shape: int
    colour: int
    side: int = -1
    cup: int = -1


@dataclass(frozen=True)
class Swap:
    """Frames in which two cups change places."""

    start: int
    end: int
    first: int
    second: int


@dataclass(frozen=True, eq=False)
class Truth:
    """All of a clip that can be asked about.

    Attributes:
        shape, colour, background, place: [frames] int64, what each frame shows; -1 for nothing.
        scenes: those that show an object, in order.
        swaps: of cups, in order.
        regular: the shapes that come again and again, each equally likely after another one.
        once: the shapes that come exactly once.
    """

    shape: Classes
    colour: Classes
    background: Classes
    place: Classes
    scenes: tuple[Scene, ...]
    swaps: tuple[Swap, ...] = ()
    regular: tuple[int, ...] = ()
    once: tuple[int, ...] = ()

    @property
    def frames(self) -> int:
        """How many."""
        return len(self.shape)
