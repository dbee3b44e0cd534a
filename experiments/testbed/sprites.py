"""The six shapes as masks, drawn in whole numbers so that they are the same everywhere."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .kinds import SHAPES

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]
# A five-pointed star on a circle of 1000, tip up, clockwise; thicker than the drawn-through one.
_STAR = (
    (0, -1000), (305, -420), (975, -330), (494, 160), (620, 860),
    (0, 520), (-620, 860), (-494, 160), (-975, -330), (-305, -420),
)  # fmt: skip


class Stamp(NamedTuple):
    """A mask of one colour at a place of the picture, which it may leave.

    Attributes:
        mask: [height, width].
        colour: red, green, blue, at most 240.
        top, left: pixels.
    """

    mask: Mask
    colour: tuple[int, int, int]
    top: int
    left: int


@cache
def mask_of(shape: str, side: int) -> Mask:
    """The pixels [side, side] that a shape covers in its box."""
    grid = 2 * np.arange(side) - (side - 1)
    return _covered(shape, grid[None, :], grid[:, None], side)


def _covered(shape: str, x: NDArray[np.int64], y: NDArray[np.int64], side: int) -> Mask:
    """By coordinates from 1 - side to side - 1 around the centre."""
    far = x * x + y * y
    if shape == "circle":
        return far <= side * side
    if shape == "ring":
        return (far <= side * side) & (far * 25 >= side * side * 9)
    if shape == "square":
        return np.maximum(abs(x), abs(y)) * 8 <= side * 7
    if shape == "triangle":
        return abs(x) * 2 <= y + side
    if shape == "cross":
        return np.minimum(abs(x), abs(y)) * 7 <= side * 2
    if shape == "star":
        return _inside(_STAR, x * 1000, y * 1000, side)
    raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {shape!r}")


def _inside(
    corners: tuple[tuple[int, int], ...], x: NDArray[np.int64], y: NDArray[np.int64], scale: int
) -> Mask:
    """Which points lie in a polygon: those from which a ray crosses an odd number of its sides."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        ax, ay, bx, by = ax * scale, ay * scale, bx * scale, by * scale
        crossing = (y < ay) != (y < by)
        left_of = (x - ax) * abs(by - ay) < (bx - ax) * (y - ay) * (1 if by > ay else -1)
        inside ^= crossing & left_of
    return inside


@cache
def bar(height: int, width: int) -> Mask:
    """A full rectangle."""
    return np.ones((height, width), bool)


def press(picture: Picture, stamp: Stamp) -> None:
    """Put a stamp on a picture [size, size, 3]; what is outside is cut off."""
    mask, colour, top, left = stamp
    high, wide = picture.shape[:2]
    if top < 0 or left < 0 or top + mask.shape[0] > high or left + mask.shape[1] > wide:
        mask = mask[max(0, -top) : max(0, high - top), max(0, -left) : max(0, wide - left)]
        top, left = max(0, top), max(0, left)
    part = picture[top : top + mask.shape[0], left : left + mask.shape[1]]
    np.copyto(part, np.array(colour, np.uint8), where=mask[:, :, None])
