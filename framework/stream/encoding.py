"""Raw frames on their way into the decoder: they wait until a temporal patch is full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..frame_tokens import Cursor, FrameTokens, advance, as_frame_tokens
from ..model import VideoModel
from ..text import as_text_frames, is_text_frame
from .images import as_images
from .state import PendingFrame, StreamState
from .timestamps import as_seconds, as_timestamps, in_order


def take_in(
    state: StreamState, frames: object, timestamps: Sequence[float] | float | None
) -> tuple[StreamState, list[FrameTokens] | None]:
    """What was pushed: `FrameTokens`, or None where raw frames wait in the state that comes back.

    Raises:
        ValueError: for anything else, timestamps that are none or run backwards.
    """
    tokens = as_frame_tokens(frames, timestamps, len(state.pending))
    if tokens is None:
        return queue_images(state, frames, timestamps), None
    return follow(state, tokens), tokens


def follow(state: StreamState, tokens: Sequence[FrameTokens]) -> StreamState:
    """The state with the times of pushed `FrameTokens` seen.

    Raises:
        ValueError: for times that are none or run backwards.
    """
    known = [as_seconds(frame.timestamp) for frame in tokens if frame.timestamp is not None]
    return replace(state, latest=in_order(state.latest, known))


def queue_images(
    state: StreamState, frames: object, timestamps: Sequence[float] | float | None
) -> StreamState:
    """The state with more raw frames waiting.

    Raises:
        ValueError: for anything but images or frames of a text, another number of timestamps, or
            times that are none or run backwards.
    """
    images = as_text_frames(frames) or as_images(frames)
    times = as_timestamps(timestamps, len(images))
    latest = in_order(state.latest, times)
    # Copies: the caller may reuse his buffer, and one waiting frame must not hold a whole clip.
    new = (PendingFrame(image.clone(), time) for image, time in zip(images, times, strict=True))
    return replace(state, pending=(*state.pending, *new), latest=latest)


def check_waiting(model: VideoModel, state: StreamState) -> None:
    """Refuse frames that would wait for a temporal patch which can never be encoded.

    Raises:
        ValueError: naming their size and the remedy.
    """
    _require_one_size(state.pending, model.frames_per_patch)
    check_images(model, state.pending, state.cursor)


def check_images(model: VideoModel, frames: Sequence[PendingFrame], cursor: Cursor) -> None:
    """Refuse frames of a kind or size that the model cannot encode.

    Raises:
        ValueError: naming kind or size and the remedy.
    """
    _require_kind(model, frames)
    images = [frame.image for frame in frames if not is_text_frame(frame.image)]
    for height, width in {tuple(image.shape[:2]) for image in images}:
        model.check_image(height, width, cursor)


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
    _require_kind(model, patch)
    _require_one_size(patch, len(patch))
    images = torch.stack([frame.image for frame in patch])
    return model.encode(images, [frame.timestamp for frame in patch], cursor)


def _require_kind(model: VideoModel, frames: Sequence[PendingFrame]) -> None:
    if not model.reads_text and any(is_text_frame(frame.image) for frame in frames):
        raise ValueError(
            f"{type(model).__name__} sees images, not frames of a text: push images, or load a "
            "text decoder"
        )


def _require_one_size(patch: Sequence[PendingFrame], length: int) -> None:
    sizes = {tuple(frame.image.shape) for frame in patch}
    if len(sizes) > 1:
        raise ValueError(
            f"frames of one temporal patch differ in size: {sorted(sizes)}; resize the video to "
            f"one size, or change the size only after a multiple of {length} frames"
        )
