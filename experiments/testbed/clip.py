"""One clip: what happens is decided first, then drawn; both from part and seed alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .backgrounds import tiles
from .chance import generator
from .setting import Setting
from .sprites import Picture, press
from .stages.cups import cups
from .stages.exits import exits
from .stages.play import Beat, Play, beat
from .stages.scenery import Scenery, scenery
from .stages.scenes import scenes
from .truth import Scene, Swap, Truth

Span = TypeVar("Span", Scene, Swap)
Stage = Callable[[Setting, Beat, np.random.Generator], Play]
STAGES: Mapping[str, Stage] = MappingProxyType({"scenes": scenes, "cups": cups, "exits": exits})


@dataclass(frozen=True, eq=False)
class Clip:
    """A video and what it shows.

    Attributes:
        frames: [frames, size, size, 3] uint8 RGB, the same bits on every machine.
        truth: of every frame.
    """

    frames: Picture
    truth: Truth


def make_clip(setting: Setting, part: int, seed: int, frames: int) -> Clip:
    """The clip of this seed.

    Raises:
        ValueError: for a number of frames that is no multiple of `setting.every`, an unknown part
            or a seed out of bounds.
    """
    play, back = _staged(setting, part, seed, frames)
    drawn = _drawn(setting, play, back, generator(part, seed, "pixels"))
    pictures = drawn if setting.every == 1 else np.repeat(drawn, setting.every, 0)
    return Clip(pictures, _truth(play, back, setting.every))


def make_truth(setting: Setting, part: int, seed: int, frames: int) -> Truth:
    """What the clip of this seed shows, undrawn.

    Raises:
        ValueError: as `make_clip`.
    """
    return _truth(*_staged(setting, part, seed, frames), setting.every)


def _staged(setting: Setting, part: int, seed: int, frames: int) -> tuple[Play, Scenery]:
    if frames < 1 or frames % setting.every:
        raise ValueError(
            f"frames must be a multiple of every, {setting.every}, and at least that; got {frames}"
        )
    story = generator(part, seed, "story")
    row = beat(setting, frames // setting.every, story)
    back = scenery(setting, row, story)
    return STAGES[setting.stage](setting, row, story), back


def _drawn(setting: Setting, play: Play, back: Scenery, rng: np.random.Generator) -> Picture:
    """Pictures [steps, size, size, 3]: background, stamps, noise of up to 15 on everything."""
    size, changing = setting.size, setting.background == "changing"
    pictures = np.empty((len(play.stamps), size, size, 3), np.uint8)
    images = tiles(size)
    for step, (picture, stamps) in enumerate(zip(pictures, play.stamps, strict=True)):
        down, right = back.offsets[step]
        picture[:] = images[back.kinds[step], down : down + size, right : right + size]
        for one in (*back.clutter[back.stretches[step]], *stamps):
            press(picture, one)
    rows = len(pictures) if changing else len(back.clutter)
    noise = np.frombuffer(rng.bytes(rows * size * size * 3), np.uint8) & 15
    noise = noise.reshape(rows, size, size, 3)
    pictures += noise if changing else noise[back.stretches]
    return pictures


def _truth(play: Play, back: Scenery, every: int) -> Truth:
    """Steps as frames."""
    shape, colour, place = (np.full(len(play.stamps), -1) for _ in range(3))
    for scene in play.scenes:
        shape[scene.start : scene.end] = scene.shape
        colour[scene.start : scene.end] = scene.colour
    place[list(play.places)] = list(play.places.values())
    rows: Sequence[NDArray[np.int64]] = (shape, colour, np.array(back.kinds), place)
    shapes, colours, kinds, places = (np.repeat(row, every).astype(np.int64) for row in rows)
    return Truth(
        shapes,
        colours,
        kinds,
        places,
        tuple(_in_frames(scene, every) for scene in play.scenes),
        tuple(_in_frames(swap, every) for swap in play.swaps),
        play.regular,
        play.once,
    )


def _in_frames(span: Span, every: int) -> Span:
    return replace(span, start=span.start * every, end=span.end * every)
