"""Eight kinds of background, dim enough for every object to stand out."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .kinds import BACKGROUNDS
from .sprites import Picture

# Dark and light of each kind.
_TINTS = (
    ((44, 52, 66), (44, 52, 66)),
    ((86, 62, 48), (86, 62, 48)),
    ((26, 48, 40), (70, 98, 84)),
    ((52, 34, 58), (102, 80, 106)),
    ((30, 38, 72), (78, 86, 116)),
    ((48, 48, 44), (100, 98, 90)),
    ((18, 18, 22), (116, 112, 110)),
    ((24, 16, 14), (110, 92, 86)),
)  # fmt: skip


@cache
def tiles(size: int) -> Picture:
    """[kinds, 2 size, 2 size, 3]: each kind twice as long and wide, so that it can drift."""
    place = np.arange(2 * size)
    across, down = place[None, :], place[:, None]
    band = size // 8
    waves = {
        "slate": across * 0 + down * 0,
        "umber": across * 0 + down * 0,
        "rows": down // band % 2 * size + across * 0,
        "columns": across // band % 2 * size + down * 0,
        "diagonals": (across + down) // band % 2 * size,
        "checks": (across // band + down // band) % 2 * size,
        "rise": _wave(down, size) + across * 0,
        "slope": _wave(across, size) + down * 0,
    }
    light = np.stack([waves[name] for name in BACKGROUNDS])[..., None]
    low, high = np.moveaxis(np.array(_TINTS), 1, 0)[:, :, None, None]
    return ((low * (size - light) + high * light) // size).astype(np.uint8)


def _wave(place: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """From 0 up to `size` and back, once every `size` pixels, so that it drifts without a seam."""
    return size - abs(2 * (place % size) - size)
