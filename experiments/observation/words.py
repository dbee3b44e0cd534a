"""Frames of a text as pictures: the words of its tokens in rows, from left to right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLUMNS = 4  # tokens beside each other, where their number can be parted so
WIDTH, HEIGHT, LETTERS = 62, 16, 11  # pixels of a token's place, and of its letters


def grid_of(count: int) -> tuple[int, int]:
    """Rows and columns that hold exactly so many tokens, at most `COLUMNS` beside each other."""
    columns = max(columns for columns in range(1, COLUMNS + 1) if count % columns == 0)
    return count // columns, columns


def picture_of(words: Sequence[str]) -> np.ndarray:
    """uint8 [height, width, 3]: one word in each place of the grid, cut off where it is too long.

    Args:
        words: of the frame's tokens, in order.
    """
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
