"""Frames that are no video file: a folder of images, or frames that somebody hands out."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from functools import cached_property, partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from .playhead import TOLERANCE
from .source import VideoError, is_address
from .times import Sampling, is_rate

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Pictures(ABC):
    """Frames without times of their own: frame i is shown from i / rate on.

    Args:
        rate: frames per second.

    Attributes:
        count: how many there are; None where that is not known.

    Raises:
        VideoError: without a rate, or for one that is none.
    """

    count: int | None

    def __init__(self, rate: float | None) -> None:
        if not is_rate(rate):
            raise VideoError(
                f"{self}: rate is {rate!r}; say how many frames are shown per second, a number > 0"
            )
        self.rate = float(rate or 0)

    @abstractmethod
    def frames(self) -> Iterator[Callable[[], Any]]:
        """What gives each frame, in order."""

    @property
    def duration(self) -> float:
        """Seconds; inf where their number is not known."""
        return math.inf if self.count is None else self.count / self.rate

    def shown(self, chosen: Sampling) -> Generator[tuple[Any, float], None, None]:
        """The chosen ones with their times; settings are checked at the call."""
        begin, stop = chosen.part(self.duration)
        first, last = (self._behind(begin), None if math.isinf(stop) else self._behind(stop))
        every = None if last is None else max(1, last - first)
        times = chosen.times(self.duration, every)
        if times is None:
            return self._taken(range(first, last) if last is not None else None, chosen, first)
        most = math.inf if self.count is None else self.count - 1
        numbers = (min(int((time + TOLERANCE) * self.rate), most) for time in times)
        return self._taken((int(number) for number in numbers), chosen)

    def _behind(self, seconds: float) -> int:
        """The first frame whose time does not lie before this one."""
        return max(0, math.ceil((seconds - TOLERANCE) * self.rate))

    def _taken(
        self, numbers: Iterable[int] | None, chosen: Sampling, first: int = 0
    ) -> Generator[tuple[Any, float], None, None]:
        """Frames by their numbers, which do not fall; all from the first on without."""
        frames = enumerate(self.frames())
        if numbers is None:
            yielded = ((frame(), i / self.rate) for i, frame in islice(frames, first, None))
            yield from islice(yielded, chosen.max_frames)
            return
        place, frame = next(frames, (0, None))
        for wanted in islice(numbers, chosen.max_frames):
            for place, frame in islice(frames, wanted - place):  # noqa: B007, B020
                pass
            if frame is None or place < wanted:
                return
            yield frame(), place / self.rate


class ImageFolder(Pictures):
    """The images in a folder, in natural order of their names, as uint8 [height, width, 3] RGB.

    Other files in it, and hidden ones, are left alone.

    Raises:
        VideoError: for a folder without an image; when it is shown, for one that cannot be read.
    """

    def __init__(self, path: str | PathLike[str], rate: float | None) -> None:
        self.path = Path(path)
        files = (file for file in self.path.iterdir() if file.suffix.lower() in IMAGES)
        self._files = sorted(
            (file for file in files if not file.name.startswith(".")), key=natural_order
        )
        self.count = len(self._files)
        if not self._files:
            raise VideoError(
                f"{self}: a folder without an image in it; give a video, or a folder of "
                f"{', '.join(IMAGES)}"
            )
        super().__init__(rate)

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def first(self) -> Tensor:
        """The first image."""
        return read_image(self._files[0])

    def frames(self) -> Iterator[Callable[[], Tensor]]:
        return (partial(read_image, file) for file in self._files)


class GivenFrames(Pictures):
    """Frames one by one, of whatever kind."""

    def __init__(self, frames: object, rate: float | None) -> None:
        self._kind = type(frames).__name__
        if not isinstance(frames, Iterable) or isinstance(frames, bytes | bytearray):
            raise VideoError(
                f"{self} is no video: give the path of a file or of a folder of images, an "
                "address, a binary file, or frames one by one"
            )
        super().__init__(rate)
        self._frames: Iterable[Any] = frames
        self.count = len(frames) if isinstance(frames, Sized) else None
        if self.count == 0:
            raise VideoError(f"{self}: has no frame in it; give at least one")

    def __str__(self) -> str:
        return f"<{self._kind}>"

    def frames(self) -> Iterator[Callable[[], Any]]:
        return ((lambda frame=frame: frame) for frame in self._frames)


def is_folder(source: object) -> TypeGuard[str | PathLike[str]]:
    """Whether it is the path of a folder."""
    if not isinstance(source, str | PathLike) or is_address(source):
        return False
    return Path(str(source)).is_dir()


def natural_order(file: Path) -> list[tuple[bool, int, str]]:
    """What sorts names as people count: 2 before 10."""
    parts = re.findall(r"\d+|\D+", file.name)
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts]


def read_image(file: Path) -> Tensor:
    """[height, width, 3] uint8 RGB."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return torch.from_numpy(np.array(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise VideoError(f"{file}: an image that cannot be read ({words}); copy it anew") from error
