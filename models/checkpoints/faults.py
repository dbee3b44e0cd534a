"""What libraries throw over a checkpoint's files, told in one sentence with its cause kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

ANEW = "download the checkpoint anew"
OTHER_QUANTISATION = "give another dtype or quantization_config, or leave the latter out"
FAMILIES_EXTRA = ("num2words", "timm")  # packages of the extra `families`
LONGEST = 240  # characters of a library's own words; the rest is in the cause


@contextmanager
def explained(where: str | Path, remedy: str = ANEW) -> Iterator[None]:
    """Turn whatever is thrown inside into one sentence about these files.

    Refusals that name them already pass, and so does running out of memory.

    Raises:
        ValueError: naming the files, what was thrown and the remedy.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if is_explained(error, where):
            raise
        if isinstance(error, ImportError):
            raise ValueError(f"{where} {missing(error)}") from error
        raise ValueError(f"{where} cannot be used ({in_words(error)}): {remedy}") from error


@contextmanager
def named(where: str | Path, remedy: str = ANEW) -> Iterator[None]:
    """As `explained`, for code whose own refusals say what to do, but not always of which files."""
    with explained(where, remedy):
        try:
            yield
        except ValueError as error:
            if type(error) is not ValueError or is_explained(error, where):
                raise
            raise ValueError(f"{where}: {shortened(str(error), 2 * LONGEST)}") from error


def missing(error: ImportError) -> str:
    """That a package is needed, in the words of who needs it, which name it; and the extra that
    brings it."""
    text = in_words(error)
    ours = any(package in text for package in FAMILIES_EXTRA)
    remedy = ": install crossframe with its extra `families`" if ours else ""
    return f"needs a package that is not installed ({text}){remedy}"


def is_explained(error: Exception, where: str | Path) -> bool:
    """Whether an error is one line of ours about these files."""
    text = str(error)
    return type(error) is ValueError and str(where) in text and text == shortened(text, 600)


def in_words(error: Exception) -> str:
    """What was thrown, in one line."""
    text = shortened(str(error), LONGEST)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shortened(text: str, most: int) -> str:
    """Text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
