"""Objects one after another, each a scene long, with gaps between them."""

from __future__ import annotations

import numpy as np

from ..kinds import COLOUR_NAMES, COLOURS, SHAPES
from ..setting import Setting, bounds
from ..sprites import Stamp, bar, mask_of
from ..truth import Scene
from .play import Beat, Play, quadrant

BAR = (96, 96, 96)


def scenes(setting: Setting, beat: Beat, rng: np.random.Generator) -> Play:
    """A row of objects: colours are drawn alike and independently; of shapes no two neighbours are
    the same, also across a gap, so that where one scene ends and the next begins can be seen."""
    numbers = np.flatnonzero(rng.random(beat.scenes) < setting.presence)
    shapes, regular, once = draw_shapes(setting, len(numbers), rng)
    colours = rng.integers(0, len(COLOURS), len(numbers))
    shown = [
        Scene(*beat.span(int(number)), int(shape), int(colour))
        for number, shape, colour in zip(numbers, shapes, colours, strict=True)
    ]
    play = Play([[] for _ in range(beat.steps)], {}, shown, regular=regular, once=once)
    _draw(play, setting, rng)
    return play


def draw_shapes(
    setting: Setting, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
    """The shape of every object; the regular shapes; those that come once."""
    low, high = bounds(setting.shapes)
    size, order = int(rng.integers(low, high + 1)), rng.permutation(len(SHAPES))
    regular, once = order[:size], order[size : size + min(setting.once, count)]
    singular = np.zeros(count, bool)
    singular[rng.permutation(count)[: len(once)]] = True
    # The walk passes over those that come once, so that their neighbours differ too.
    walk = rng.integers(1, size, count - len(once))  # never a whole turn: always another shape
    walk[:1] = rng.integers(0, size)
    shapes = np.empty(count, np.int64)
    shapes[singular], shapes[~singular] = once, regular[np.cumsum(walk) % size]
    return shapes, tuple(map(int, regular)), tuple(map(int, once))


def _draw(play: Play, setting: Setting, rng: np.random.Generator) -> None:
    """Every object on its way through its scene."""
    size, count = setting.size, len(play.scenes)
    reach = setting.motion * size // 32
    sides = rng.integers(13 * size // 32, 16 * size // 32 + 1, count)
    begins = rng.integers(0, size - sides[:, None] + 1, (count, 2))
    ends = np.clip(begins + rng.integers(-reach, reach + 1, (count, 2)), 0, size - sides[:, None])
    barred, bar_begins = rng.random(count) < setting.occlusion, rng.integers(0, sides)
    for scene, side, begin, end, covered, bar_begin in zip(
        play.scenes, *(a.tolist() for a in (sides, begins, ends, barred, bar_begins)), strict=True
    ):
        mask, colour = mask_of(SHAPES[scene.shape], side), COLOURS[COLOUR_NAMES[scene.colour]]
        last = max(1, scene.end - scene.start - 1)
        for step in range(scene.start, scene.end):
            gone = step - scene.start
            top, left = (a + (b - a) * gone // last for a, b in zip(begin, end, strict=True))
            stamps = play.stamps[step]
            stamps.append(Stamp(mask, colour, top, left))
            play.places[step] = quadrant(top, left, side, size)
            if covered:
                width = side // 4
                at = left + (bar_begin + gone * size // 32) % (side - width + 1)
                stamps.append(Stamp(bar(side, width), BAR, top, at))
