"""Read sinks and recent: the first and the newest tokens of the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import LayerArchive, Reader, Slots, require_count


@final
@dataclass(frozen=True)
class ReadSinksAndRecent(Reader):
    """Read the first `num_sinks` tokens of the stream and the newest `recent` ones.

    Rule: counted are archived tokens, the prompt and text markers included, tokens that never
    entered the decoder left out; the cut may fall inside a frame. All layers and heads read the
    same tokens, at the positions of the stream. The control for readers that ask the question
    what to read (StreamingLLM, arXiv 2309.17453, applied to answering alone).

    Args:
        num_sinks: initial tokens; 0 reads a bare window, which loses the attention sinks.
        recent: newest tokens; 0 reads the sinks alone.

    Raises:
        ValueError: for negative numbers, or if both are 0.

    Differences from StreamingLLM: positions stay as produced instead of being renumbered.
    Cost per question: attention over num_sinks + recent tokens. Only they are unpacked.
    """

    needs_queries = False

    num_sinks: int = 4
    recent: int = 4096

    def __post_init__(self) -> None:
        for name in ("num_sinks", "recent"):
            value = getattr(self, name)
            require_count(type(self).__name__, name, value, unbounded=False)
        if self.num_sinks == self.recent == 0:
            raise ValueError(
                "ReadSinksAndRecent: num_sinks=0 and recent=0 leave nothing to read; raise one"
            )

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        del queries, carried
        end = archive.num_tokens
        start = max(0, end - self.recent)
        if self.num_sinks >= start:  # the two meet
            return archive.slots()
        if self.num_sinks == 0:
            return archive.slots(tokens=range(start, end))
        sinks, newest = torch.arange(self.num_sinks), torch.arange(start, end)
        return archive.slots(tokens=torch.cat([sinks, newest]))

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        del carried
        # At least one token of every frame is archived, however many were dropped before it.
        return None if self.num_sinks else self.recent * frame_tokens
