"""Small pictures of frames that pass, one per temporal patch; of a text's frames their words."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ...framework.text import is_text_frame

SIDE = 160  # pixels of the longer side
COLUMNS = 4  # tokens beside each other, where their number can be parted so
WIDTH, HEIGHT, LETTERS = 62, 16, 11  # pixels of a token's place, and of its letters


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame made small, or the words of a text's frame.

    Attributes:
        pixels: uint8 [height, width, 3].
        size: height and width of the whole frame.
        seconds: its time; None for a text.
        grid: rows and columns of a text's tokens; None for a frame whose patches the model lays.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    seconds: float | None
    grid: tuple[int, int] | None = None

    @property
    def shows(self) -> str:
        """What its tokens stand for: "patches" or "words"."""
        return "patches" if self.grid is None else "words"

    @property
    def data_url(self) -> str:
        """The picture as it stands in a page."""
        buffer, kind = io.BytesIO(), "png" if self.grid else "jpeg"  # letters stay sharp
        Image.fromarray(self.pixels).save(buffer, kind, quality=82)
        return f"data:image/{kind};base64," + b64encode(buffer.getvalue()).decode("ascii")


class PictureTaker:
    """Takes a small picture of the first frame of every temporal patch that passes.

    Args:
        frames_per_patch: raw frames that make one patch and share its tokens.
        text: ids [tokens] to text, for frames that are none but words.
    """

    def __init__(self, frames_per_patch: int, text: Callable[[Tensor], str]) -> None:
        self.frames_per_patch, self.text = frames_per_patch, text
        self.pictures: list[Picture] = []
        self.passed = 0

    def watch(self, frames: Iterable[tuple[Tensor, float]]) -> Iterator[tuple[Tensor, float]]:
        """The same frames, uint8 [height, width, 3] or ids [tokens], while pictures are taken."""
        for image, seconds in frames:
            if self.passed % self.frames_per_patch == 0:
                small = self._words(image) if is_text_frame(image) else _small(image, seconds)
                self.pictures.append(small)
            self.passed += 1
            yield image, seconds

    def _words(self, ids: Tensor) -> Picture:
        pixels = picture_of([self.text(token) for token in ids.split(1)])
        height, width = pixels.shape[:2]
        return Picture(pixels, (height, width), None, grid_of(len(ids)))


def _small(image: Tensor, seconds: float) -> Picture:
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = np.asarray(Image.fromarray(image.cpu().numpy()).resize(size, Image.Resampling.BOX))
    return Picture(pixels, (height, width), seconds)


def grid_of(count: int) -> tuple[int, int]:
    """Rows and columns that hold exactly so many tokens, at most `COLUMNS` beside each other."""
    columns = max(columns for columns in range(1, COLUMNS + 1) if count % columns == 0)
    return count // columns, columns


def picture_of(words: Sequence[str]) -> np.ndarray:
    """uint8 [height, width, 3]: the words of a frame's tokens in order, one in each place of the
    grid, cut off where it is too long."""
    from matplotlib.font_manager import findfont  # 0.3 s; it brings the font along

    rows, columns = grid_of(len(words))
    picture = Image.new("RGB", (columns * WIDTH, rows * HEIGHT), "white")
    font = ImageFont.truetype(findfont("DejaVu Sans"), LETTERS)
    for number, word in enumerate(words):
        place = Image.new("RGB", (WIDTH - 2, HEIGHT), "white")
        ImageDraw.Draw(place).text((1, 1), shown(word), "black", font)
        row, column = divmod(number, columns)
        picture.paste(place, (column * WIDTH + 1, row * HEIGHT))
    return np.asarray(picture)


def shown(word: str) -> str:
    """A token's text in one line; line breaks and what cannot be printed become signs."""
    plain = word.replace("\n", "\N{RETURN SYMBOL}").strip()
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in plain)
