"""Protected sinks: the beginning of the stream is never evicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ProtectingMemory, Slots


@final
@dataclass(frozen=True)
class ProtectedSinks(ProtectingMemory):
    """Never evict the first tokens, the first frames, the text before the video.

    Rule: slots of the first `tokens` token numbers, of frames below `frames` and, with `prompt`, of
    frame -1 stay in every layer and head. Around a memory that ranks slots they count inside its
    budget; around any other (a window, isolated frames) they come on top of what it keeps.

    Paper: the attention sinks of StreamingLLM, Xiao et al., arXiv 2309.17453, around any memory.
    StateKV has none (arXiv 2605.31598): what they add to it is an open ablation.

    Args:
        inner: decides about all other slots.
        tokens: of the stream, prompt included; 4 in StreamingLLM. Tokens that were dropped before
            the decoder count, and are not replaced.
        frames: whole frames. Every slot they take is one less for the rest of the video.
        prompt: the text before the video, where the model has some.

    Raises:
        ValueError: if nothing is protected, if the inner memory merges slots or, on top of a memory
            that does not rank, places them anew; if a budget has no room for what is protected: for
            tokens at construction, for frames and prompt at the first push that has too many.

    Cost per frame: the inner memory's; frames and prompt are counted once per layer and step, which
    an accelerator waits for. Bytes held: the inner memory's, plus, on top of a memory that does not
    rank, those of the protected slots.
    """

    prompt: bool = False

    def chosen(self, slots: Slots) -> Tensor:
        first = slots.index < self.tokens
        early = (slots.frame >= 0) & (slots.frame < self.frames)
        text = slots.frame < 0 if self.prompt else torch.zeros_like(first)
        return first | early | text

    def most(self, frame_tokens: int) -> int:
        return self.tokens + (self.frames + self.prompt) * frame_tokens
