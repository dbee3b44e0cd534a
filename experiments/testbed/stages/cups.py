"""Three cups: a ball is shown and comes to lie under one of them, then cups change places."""

from __future__ import annotations

import numpy as np

from ..kinds import COLOUR_NAMES, COLOURS, CUPS, SHAPES
from ..setting import Setting
from ..sprites import Mask, Stamp, mask_of
from ..truth import Scene, Swap
from .play import Beat, Play, quadrant

WOOD, BALL = (176, 128, 84), SHAPES.index("circle")


def cups(setting: Setting, beat: Beat, rng: np.random.Generator) -> Play:
    """The first scene shows the ball above its cup, and so does now and then another one, which
    puts it anew; others swap two cups, or are still with probability 1 - presence."""
    shows = rng.random(beat.scenes) < 0.1
    shows[:1] = True
    still = rng.random(beat.scenes) >= setting.presence
    targets = rng.integers(0, len(CUPS), beat.scenes).tolist()
    apart = rng.integers(1, len(CUPS), beat.scenes).tolist()
    colours = rng.integers(0, len(COLOURS), beat.scenes).tolist()
    play = Play([[] for _ in range(beat.steps)], {}, [])
    for number, cup in enumerate(targets):
        start, end = beat.span(number)
        if shows[number]:
            play.scenes.append(Scene(start, end, BALL, colours[number], cup=cup))
            _show(play, setting.size, play.scenes[-1])
        elif still[number] or end - start < beat.length:  # no swap that the end cuts short
            for step in range(start, end):
                play.stamps[step] = [_cup(cup, setting.size) for cup in range(len(CUPS))]
        else:
            play.swaps.append(Swap(start, end, *sorted((cup, (cup + apart[number]) % len(CUPS)))))
            _swap(play, setting.size, play.swaps[-1], beat.length)
    return play


def _show(play: Play, size: int, scene: Scene) -> None:
    """The ball over its cup, all cups at rest."""
    side = 11 * size // 32
    top, left = size // 32, _left(scene.cup, size) - side // 20
    colour = COLOURS[COLOUR_NAMES[scene.colour]]
    ball = Stamp(mask_of(SHAPES[BALL], side), colour, top, left)
    for step in range(scene.start, scene.end):
        play.stamps[step] = [*(_cup(cup, size) for cup in range(len(CUPS))), ball]
        play.places[step] = quadrant(top, left, side, size)


def _swap(play: Play, size: int, swap: Swap, length: int) -> None:
    """Two cups on their ways, one above and one below the third; never at rest, so that one frame
    of it tells which two they are."""
    (third,) = set(range(len(CUPS))) - {swap.first, swap.second}
    for step in range(swap.start, swap.end):
        gone, whole = step - swap.start + 1, length + 1
        arc = 9 * size * min(gone, whole - gone) // (32 * (whole // 2))
        way = (_left(swap.second, size) - _left(swap.first, size)) * gone // whole
        play.stamps[step] = [
            _cup(third, size),
            _cup(swap.first, size, way, -arc),
            _cup(swap.second, size, -way, arc),
        ]


def _cup(cup: int, size: int, right: int = 0, down: int = 0) -> Stamp:
    return Stamp(_beaker(size), WOOD, 12 * size // 32 + down, _left(cup, size) + right)


def _left(cup: int, size: int) -> int:
    return (1 + 10 * cup) * size // 32


def _beaker(size: int) -> Mask:
    """A cup upside down: narrow above, wide below."""
    side = 10 * size // 32
    across, down = abs(2 * np.arange(side)[None, :] - (side - 1)), np.arange(side)[:, None]
    return across * 2 * side <= side * side + down * side
