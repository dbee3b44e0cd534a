"""Objects that leave the picture, each by one of its sides."""

from __future__ import annotations

import numpy as np

from ..kinds import COLOUR_NAMES, COLOURS, SHAPES, SIDES
from ..setting import Setting
from ..sprites import Stamp, mask_of
from ..truth import Scene
from .play import Beat, Play, quadrant
from .scenes import draw_shapes

# Down and right per side of `SIDES`.
_WAYS = ((0, -1), (0, 1), (-1, 0), (1, 0))


def exits(setting: Setting, beat: Beat, rng: np.random.Generator) -> Play:
    """Each scene shows one object on its way out; in its last frame a third of it is gone. Sides
    are drawn alike and independently."""
    numbers = np.flatnonzero(rng.random(beat.scenes) < setting.presence)
    shapes, regular, once = draw_shapes(setting, len(numbers), rng)
    colours = rng.integers(0, len(COLOURS), len(numbers))
    sides = rng.integers(0, len(SIDES), len(numbers))
    shown = [
        Scene(*beat.span(int(number)), int(shape), int(colour), side=int(side))
        for number, shape, colour, side in zip(numbers, shapes, colours, sides, strict=True)
    ]
    play = Play([[] for _ in range(beat.steps)], {}, shown, regular=regular, once=once)
    _draw(play, setting.size, beat.length, rng)
    return play


def _draw(play: Play, size: int, length: int, rng: np.random.Generator) -> None:
    """From near the centre to beyond the side."""
    side = 13 * size // 32
    centre, stray = (size - side) // 2, size // 8
    begins = (centre + rng.integers(-stray, stray + 1, (len(play.scenes), 2))).tolist()
    for scene, begin in zip(play.scenes, begins, strict=True):
        mask, colour = mask_of(SHAPES[scene.shape], side), COLOURS[COLOUR_NAMES[scene.colour]]
        end = [
            begin[axis] if way == 0 else -(side // 3) if way < 0 else size - side + side // 3
            for axis, way in enumerate(_WAYS[scene.side])
        ]
        for step in range(scene.start, scene.end):
            gone = step - scene.start + 1
            top, left = (a + (b - a) * gone // length for a, b in zip(begin, end, strict=True))
            play.stamps[step].append(Stamp(mask, colour, top, left))
            play.places[step] = quadrant(top, left, side, size)
