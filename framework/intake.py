"""Raw frames on their way into the decoder: they wait until a temporal patch is full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from .frame_tokens import Cursor, FrameTokens, advance
from .images import as_images, as_timestamps
from .model import VideoModel
from .state import PendingFrame, StreamState


def queue_images(
    state: StreamState, frames: object, timestamps: Sequence[float] | float | None
) -> StreamState:
    """The state with more raw frames waiting.

    Raises:
        ValueError: for anything but images, or another number of timestamps.
    """
    images = as_images(frames)
    times = as_timestamps(timestamps, len(images))
    # Copies: the caller may reuse his buffer, and one waiting frame must not hold a whole clip.
    new = (PendingFrame(image.clone(), time) for image, time in zip(images, times, strict=True))
    return replace(state, pending=(*state.pending, *new))


def encode_pending(
    model: VideoModel, state: StreamState, *, least: int, most: int
) -> tuple[StreamState, list[FrameTokens]]:
    """Encode waiting frames, one temporal patch after the other.

    Args:
        least: frames a patch must have; fewer stay waiting.
        most: temporal patches to encode at most.
    """
    size, cursor = model.frames_per_patch, state.cursor
    frames: list[FrameTokens] = []
    while len(state.pending) >= least and len(frames) < most:
        frames.append(_encode(model, state.pending[:size], cursor))
        cursor = advance(cursor, frames[-1])
        state = replace(state, pending=state.pending[size:])
    return state, frames


def _encode(model: VideoModel, patch: Sequence[PendingFrame], cursor: Cursor) -> FrameTokens:
    sizes = {tuple(frame.image.shape) for frame in patch}
    if len(sizes) > 1:
        raise ValueError(
            f"frames of one temporal patch differ in size: {sorted(sizes)}; resize the video to "
            f"one size, or change the size only after a multiple of {len(patch)} frames"
        )
    images = torch.stack([frame.image for frame in patch])
    return model.encode(images, [frame.timestamp for frame in patch], cursor)
