"""An archive in pages and blocks of a few tokens, so that short streams have many."""

from __future__ import annotations

from dataclasses import dataclass

from crossframe.framework import WrappedArchive


@dataclass(frozen=True)
class SmallPages(WrappedArchive):
    """As the inner one, with pages of 1, 1, 2, 4, ... tokens up to so many bytes."""

    page_bytes: int = 512
    block_bytes: int = 512
    kept_bytes: int = 512
