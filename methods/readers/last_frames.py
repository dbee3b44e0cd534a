"""Read last frames: the newest frames of the archive, and the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ...framework import LayerArchive, Reader, Slots, require_count


@final
@dataclass(frozen=True)
class ReadLastFrames(Reader):
    """Read the newest `frames` frames, whole.

    Rule: all archived tokens of the last `frames` temporal patches, and of the text before the
    video. All layers and heads read the same tokens, at the positions of the stream. The frames
    were encoded with the memory's context, unlike those of `SimpleStream`, which sees no others.

    Args:
        frames: temporal patches, at least 1.
        prompt: also read the text before the video; without it the attention sinks are lost.
            Before the first frame it is read in any case.

    Raises:
        ValueError: for frames below 1.

    Cost per question: attention over the tokens of prompt and frames. Only they are unpacked.
    """

    needs_queries = False

    frames: int
    prompt: bool = True

    def __post_init__(self) -> None:
        require_count(type(self).__name__, "frames", self.frames, least=1, unbounded=False)

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        del queries, carried
        number = archive.frames
        wanted = (number > number[-1] - self.frames) & (number >= 0)
        if self.prompt or int(number[-1]) < 0:
            wanted = wanted | (number < 0)
        return archive.slots(tokens=wanted.nonzero()[:, 0])

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        del carried
        return None if self.prompt else self.frames * frame_tokens
