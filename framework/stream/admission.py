"""What of the pushed frames enters the decoder, and how its tokens are numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..frame_tokens import FrameTokens, advance, is_prompt, join_frames
from ..memory import CrossFrameMemory
from ..slots import STAT
from ..transfer import sent
from .kinds import require_tensors
from .state import StreamState


@dataclass(frozen=True, eq=False)
class EnteringTokens:
    """The tokens of one step.

    Attributes:
        tokens: what enters, of all frames of the step.
        frame: [tokens] int64 frame numbers, -1 for the prompt.
        index: [batch, tokens] int64 token numbers in the stream.
    """

    tokens: FrameTokens
    frame: Tensor
    index: Tensor

    def columns(self, device: torch.device) -> dict[str, Tensor]:
        """What is known of each token, as the archive keeps it: [batch, tokens], and positions
        [axes, batch, tokens]."""
        known = {
            "index": self.index,
            "frame": self.frame.expand(self.tokens.batch, -1),
            "visual": self.tokens.visual_mask(),
            "positions": self.tokens.positions,
        }
        known |= {STAT + name: value for name, value in self.tokens.stats.items()}
        return {name: sent(value, device) for name, value in known.items()}


def admit_frames(
    frames: Sequence[FrameTokens], memory: CrossFrameMemory, state: StreamState
) -> tuple[StreamState, EnteringTokens]:
    """The state with its cursor behind the whole frames, and the tokens that enter of each by the
    memory's choice; the prompt enters whole, unasked."""
    kept, numbers, indices = [], [], []
    for frame in frames:
        state, admitted, number, index = _admit_one(frame, memory, state)
        kept.append(admitted)
        numbers.append(torch.full((admitted.num_tokens,), number))
        indices.append(index)
    return state, EnteringTokens(join_frames(kept), torch.cat(numbers), torch.cat(indices, -1))


def _admit_one(
    frame: FrameTokens, memory: CrossFrameMemory, state: StreamState
) -> tuple[StreamState, FrameTokens, int, Tensor]:
    cursor = state.cursor
    prompt = is_prompt(cursor, frame)
    admitted = frame
    if not prompt:
        admission = dict(state.admission)
        admitted = memory.admit(frame, state.previous, admission)
        require_tensors(type(memory).__name__, "the state of admit", admission)
        if admitted.num_tokens == 0:
            raise ValueError(
                f"{type(memory).__name__} admitted no token of frame {cursor.frames}; at least one "
                "must enter"
            )
        previous = None if memory.admits_whole else frame
        state = replace(state, admission=admission, previous=previous)
    state = replace(
        state,
        cursor=advance(cursor, frame),
        largest_frame=max(state.largest_frame, frame.num_tokens),
    )
    index = admitted.token_offsets().cpu() + cursor.tokens
    return state, admitted, -1 if prompt else cursor.frames, index
