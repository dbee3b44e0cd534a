"""Small pictures of the frames that pass, one per temporal patch."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

SIDE = 160  # pixels of the longer side


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame made small.

    Attributes:
        pixels: uint8 [height, width, 3].
        size: height and width of the whole frame.
        seconds: its time.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    seconds: float

    @property
    def data_url(self) -> str:
        """The picture as it stands in a page."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "jpeg", quality=82)
        return "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode("ascii")


class PictureTaker:
    """Takes a small picture of the first frame of every temporal patch that passes.

    Args:
        frames_per_patch: raw frames that make one patch and share its tokens.
    """

    def __init__(self, frames_per_patch: int) -> None:
        self.frames_per_patch = frames_per_patch
        self.pictures: list[Picture] = []
        self.passed = 0

    def watch(self, frames: Iterable[tuple[Tensor, float]]) -> Iterator[tuple[Tensor, float]]:
        """The same frames, uint8 [height, width, 3] with seconds, while pictures are taken."""
        for image, seconds in frames:
            if self.passed % self.frames_per_patch == 0:
                self.pictures.append(_small(image, seconds))
            self.passed += 1
            yield image, seconds


def _small(image: Tensor, seconds: float) -> Picture:
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = np.asarray(Image.fromarray(image.cpu().numpy()).resize(size, Image.Resampling.BOX))
    return Picture(pixels, (height, width), seconds)
