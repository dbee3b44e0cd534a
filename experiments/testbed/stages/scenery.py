"""What is behind the objects: kinds of background, cuts between them, drift and small things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kinds import BACKGROUNDS, SHAPES
from ..setting import Setting
from ..sprites import Stamp, mask_of
from .play import Beat

GREY = (132, 132, 132)


@dataclass(frozen=True)
class Scenery:
    """By step, or by stretch from cut to cut.

    Attributes:
        kinds: class of the background by step.
        stretches: number of the stretch by step.
        offsets: how far the background has drifted by step, down and right, in pixels.
        clutter: small grey shapes by stretch.
    """

    kinds: list[int]
    stretches: list[int]
    offsets: list[tuple[int, int]]
    clutter: list[list[Stamp]]


def scenery(setting: Setting, beat: Beat, rng: np.random.Generator) -> Scenery:
    """Cuts at scenes drawn for it, each to another kind."""
    turns = rng.integers(1, len(BACKGROUNDS), beat.scenes)
    turns[rng.random(beat.scenes) >= setting.cuts] = 0
    turns[0] = rng.integers(0, len(BACKGROUNDS))
    kinds, stretches = np.cumsum(turns) % len(BACKGROUNDS), np.cumsum(turns > 0) - (turns[0] > 0)
    scene_of = np.arange(beat.steps) // beat.length
    return Scenery(
        kinds[scene_of].tolist(),
        stretches[scene_of].tolist(),
        _drift(setting, beat.steps, rng),
        [_clutter(setting, rng) for _ in range(int(stretches[-1]) + 1)],
    )


def _drift(setting: Setting, steps: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """A steady way from anywhere, a pixel or two (at 32) a step."""
    size = setting.size
    begin, (down, right) = rng.integers(0, size, 2).tolist(), rng.integers(-2, 3, 2).tolist()
    speed = size // 32 if setting.background == "changing" else 0
    return [
        ((begin[0] + step * down * speed) % size, (begin[1] + step * right * speed) % size)
        for step in range(steps)
    ]


def _clutter(setting: Setting, rng: np.random.Generator) -> list[Stamp]:
    if not setting.distractors:
        return []
    side = 5 * setting.size // 32
    shapes = rng.integers(0, len(SHAPES), setting.distractors).tolist()
    corners = rng.integers(0, setting.size - side + 1, (setting.distractors, 2)).tolist()
    return [
        Stamp(mask_of(SHAPES[shape], side), GREY, top, left)
        for shape, (top, left) in zip(shapes, corners, strict=True)
    ]
