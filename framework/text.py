"""Texts as streams of frames: so many tokens at a time, for decoders that read nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from .counts import require_count

TOKENS_PER_FRAME = 32


class Tokenizer(Protocol):
    """What turns text into ids, such as a tokenizer of transformers."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]: ...


class TextFrames:
    """A text as frames, each an int64 tensor [tokens] of ids.

    Iterating gives every frame with its number, which stands where a video's frames have seconds.
    The last frame holds what is left and may be shorter.

    Args:
        tokenizer: the model's own; it adds no special tokens.
        text: any text.
        tokens_per_frame: tokens of every frame but the last.

    Attributes:
        ids: [tokens] int64, of the whole text.

    Raises:
        ValueError: for a text shorter than one frame, or one that cannot be written as UTF-8.
    """

    def __init__(
        self, tokenizer: Tokenizer, text: str, tokens_per_frame: int = TOKENS_PER_FRAME
    ) -> None:
        require_count("TextFrames", "tokens_per_frame", tokens_per_frame, least=1, unbounded=False)
        require_characters(text, "the text")
        self.tokens_per_frame = tokens_per_frame
        found = tokenizer.encode(text, add_special_tokens=False)
        self.ids = torch.tensor(list(found), dtype=torch.int64)
        if len(self.ids) < tokens_per_frame:
            raise ValueError(
                f"the text has {len(self.ids)} tokens, fewer than one frame of {tokens_per_frame}: "
                "give a longer text, or a smaller tokens_per_frame"
            )

    def __len__(self) -> int:
        return -(-len(self.ids) // self.tokens_per_frame)

    def __iter__(self) -> Iterator[tuple[Tensor, float]]:
        frames = self.ids.split(self.tokens_per_frame)
        return ((frame, float(number)) for number, frame in enumerate(frames))


def as_text_frames(frames: object) -> list[Tensor] | None:
    """Pushed frames of a text, `TextFrames`, an int64 tensor [tokens] or a sequence of those, as
    ids [tokens] each; None if something else was pushed."""
    if isinstance(frames, TextFrames):
        return [frame for frame, _ in frames]
    parts = frames if isinstance(frames, list | tuple) else [frames]
    found = [part for part in parts if isinstance(part, Tensor) and is_text_frame(part)]
    return found if found and len(found) == len(parts) else None


def is_text_frame(frame: Tensor) -> bool:
    """Whether a raw frame holds ids of a text, not pixels."""
    return frame.dim() == 1 and frame.dtype == torch.int64


def read_text(path: str | PathLike[str]) -> str:
    """The words of a text file.

    Raises:
        ValueError: for a file that is missing, empty or not UTF-8, naming it.
    """
    path = Path(path)
    if not os.path.isfile(path):  # a pipe would be waited for; Path.is_file raises on odd names
        raise ValueError(f"{path} is no file: give the path of a text")
    try:
        text = path.read_bytes().decode("utf-8-sig")  # which some editors begin with a mark
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}): save "
            "the text as UTF-8"
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): mend it") from error
    if not text.strip():
        raise ValueError(f"{path} has no words: give a file with text in it")
    return text


def require_characters(text: str, what: str) -> None:
    """Refuse text that no tokenizer reads; the ValueError names the character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{what} has {text[error.start]!r} at character {error.start}, half of a surrogate "
            "pair: decode the text as UTF-8"
        ) from error
