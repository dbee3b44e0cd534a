"""Where text and visual tokens of a stream stand, as a session would push them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...framework import Cursor, FrameTokens
from ...framework.frame_tokens import advance
from ...framework.stream.encoding import encode_frames
from .families import Trainable

BEFORE = -1  # the patch number of text before the video


@dataclass(frozen=True, eq=False)
class StreamLayout:
    """The tokens of a stream of so many frames, whatever the frames show.

    Attributes:
        ids: [tokens] int64 of text tokens; 0 where a visual token stands.
        visual: [tokens] bool.
        patch: [tokens] int64 number of the temporal patch a token belongs to, -1 before the video.
        positions: [axes, tokens] int64.
        ends: [patches] int64, the next free position behind each patch.
    """

    ids: Tensor
    visual: Tensor
    patch: Tensor
    positions: Tensor
    ends: Tensor

    def mark(self, place: int) -> Tensor:
        """[patches] int64 numbers of the text tokens `place` tokens behind the first that follows
        each patch's visual tokens; beyond the end of the stream where there is none."""
        tokens = torch.arange(len(self.ids))
        last = tokens.new_zeros(len(self.ends))
        last = last.scatter_reduce(0, self.patch[self.visual], tokens[self.visual], "amax")
        return last + 1 + place


def stream_layout(model: Trainable, frames: Tensor, rate: float | None) -> StreamLayout:
    """The layout of a stream of frames like these.

    Args:
        frames: [frames, height, width, 3] uint8.
        rate: frames per second, which prompts may name; None pushes them without times.
    """
    twin: Any = copy(model.for_stream(len(frames), fps=rate))
    # Adapters take all text through `embed`. With ids in place of embeddings, the tokens tell
    # which ids stand where.
    hidden = model.spec.hidden
    twin.embed = lambda ids: ids[..., None].expand(-1, -1, hidden).float()
    times = [None if rate is None else number / rate for number in range(len(frames))]
    parts = [
        part.tokens for part in encode_frames(twin, list(zip(frames, times, strict=True)), None)
    ]
    return _joined(parts)


def _joined(parts: Sequence[FrameTokens]) -> StreamLayout:
    cursor, ends, numbers = Cursor(), [], []
    for part in parts:
        before, cursor = cursor, advance(cursor, part)
        prompt = cursor.frames == before.frames
        numbers.append(torch.full((part.num_tokens,), BEFORE if prompt else before.frames))
        ends += [] if prompt else [cursor.position]
    visual = torch.cat([part.visual_mask()[0] for part in parts])
    ids = torch.cat([part.embeds[0, :, 0] for part in parts]).long()
    return StreamLayout(
        ids=ids.masked_fill(visual, 0),
        visual=visual,
        patch=torch.cat(numbers),
        positions=torch.cat([part.positions[:, 0] for part in parts], -1),
        ends=torch.tensor(ends),
    )
