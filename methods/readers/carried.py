"""Read carried: an answer from the memory alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import LayerArchive, Reader, Slots


@final
@dataclass(frozen=True)
class ReadCarried(Reader):
    """Read what the memory carries after the last frame, and nothing of the archive.

    Rule: the question attends to the same slots, at the same positions, as the next frame would;
    heads may hold different numbers of them. What a memory evicted cannot be answered from, so
    this shows a memory without the archive's help.

    Raises:
        ValueError: at a question, if the memory carries nothing.

    Cost per question: attention over the carried slots; constant under a bounded memory.
    Bytes read: those of the memory. The session still archives every frame, unread, unless it is
    opened with `NoArchive`.
    """

    needs_archive = False
    needs_queries = False

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        del queries, archive
        return carried

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        del frame_tokens
        return carried
