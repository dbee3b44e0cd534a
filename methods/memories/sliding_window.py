"""Sliding window: the newest whole frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ...framework import CrossFrameMemory, Slots, require_count


@final
@dataclass(frozen=True)
class SlidingWindowMemory(CrossFrameMemory):
    """Carry the newest `frames` frames whole.

    Rule: after a step evict every slot whose frame number is at most newest - frames. The prompt
    before the video counts as frame -1 and leaves like one. The StateKV paper calls this bare
    window "ReKV"; the real ReKV also keeps initial tokens and retrieves blocks when asked.

    Args:
        frames: frames carried; None is full attention, 0 carries nothing.

    Cost per frame: attention over frames + 1 frames. Bytes held: `frames` frames.
    """

    frames: int | None

    def __post_init__(self) -> None:
        require_count(type(self).__name__, "frames", self.frames)

    def update(self, slots: Slots) -> Slots:
        if self.frames is None or slots.num_slots == 0:
            return slots
        # Frames are the same in every row and head, so one row tells where the window begins.
        row = slots.frame[0, 0]
        first = int((row <= row[-1] - self.frames).sum())
        kept = row.new_tensor(range(first, len(row)))
        return slots.keep(kept)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return None if self.frames is None else self.frames * frame_tokens
