"""Raw frames on their way into the decoder, one temporal patch after the other.

Positions follow the stream whatever a memory drops. So patches that were encoded once can be pushed
to many sessions, and each takes exactly what it would have encoded for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import TypeVar

import torch
from torch import Tensor

from ..frame_tokens import Cursor, FrameTokens, advance, as_frame_tokens, join_videos
from ..model import VideoModel
from ..text import as_text_frames, is_text_frame
from .costs import Timer
from .images import as_images
from .state import PendingFrame, StreamState
from .timestamps import as_seconds, as_timestamps, in_order

T = TypeVar("T")
# A raw frame, uint8 [height, width, 3] or ids of a text [tokens], with its time in seconds; of
# several videos side by side [videos, height, width, 3].
Frame = tuple[Tensor, float | None]


@dataclass(frozen=True, eq=False)
class Encoded:
    """What may be pushed to any number of sessions, each of which counts the time it took.

    Attributes:
        tokens: of one temporal patch, or of the prompt before the video.
        images: raw frames in it; 0 for the prompt, and for tokens that somebody else encoded.
        timer: of vision encoder and projector; None without images.
    """

    tokens: FrameTokens
    images: int = 0
    timer: Timer | None = None


@torch.no_grad()
def encode_frames(
    model: VideoModel, frames: Iterable[Frame], cursor: Cursor | None = None, videos: int = 1
) -> Iterator[Encoded]:
    """The prompt where the stream begins, then every temporal patch; the last may be begun only.

    Args:
        cursor: where the stream stands before the frames; None is its beginning.
        videos: how many each frame shows side by side.

    Raises:
        ValueError: for frames that the model cannot take, naming the remedy.
    """
    cursor = cursor or Cursor()
    prompt = model.prologue(cursor) if cursor.tokens == 0 else None
    if prompt is not None:
        prompt = join_videos([prompt] * videos)
        yield Encoded(prompt)
        cursor = advance(cursor, prompt)
    for patch in groups(frames, model.frames_per_patch):
        timer = Timer(model.device)
        tokens = _encode_patch(model, patch, cursor)
        yield Encoded(tokens, len(patch), timer.stop())
        cursor = advance(cursor, tokens)


def in_steps(encoded: Iterable[Encoded], size: int) -> Iterator[list[Encoded]]:
    """Parts that pass the decoder together: the prompt alone, `size` temporal patches each time."""
    for _, parts in groupby(encoded, key=lambda part: part.images > 0):
        yield from groups(parts, size)


def groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items; the last may be shorter."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group


def take_in(
    model: VideoModel,
    state: StreamState,
    frames: object,
    timestamps: Sequence[float] | float | None,
) -> tuple[StreamState, Iterator[Encoded]]:
    """The state with what was pushed, raw frames waiting in it, and what is to pass the decoder.

    Raises:
        ValueError: for anything but images, frames of a text, `FrameTokens` and what
            `encode_frames` gave; for timestamps that are none or run backwards.
    """
    parts = frames if isinstance(frames, list | tuple) else [frames]
    given = [part.tokens if isinstance(part, Encoded) else part for part in parts]
    tokens = as_frame_tokens(given, timestamps, len(state.pending))
    if tokens is not None:
        pairs = zip(parts, tokens, strict=True)
        encoded = (part if isinstance(part, Encoded) else Encoded(one) for part, one in pairs)
        return follow(state, tokens), encoded
    state = queue_images(state, frames, timestamps)
    full = len(state.pending) - len(state.pending) % model.frames_per_patch
    passing, waiting = state.pending[:full], state.pending[full:]
    # Those that pass are read where they lie, so that a long push takes no room.
    state = replace(state, pending=(*passing, *(frame.own() for frame in waiting)))
    return state, encode_frames(model, passing, state.cursor, state.videos or 1)


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
    """The state with more raw frames waiting, which are not copied.

    Raises:
        ValueError: for anything but images or frames of a text, another number of timestamps or of
            videos, or times that are none or run backwards.
    """
    images = as_text_frames(frames) or as_images(frames)
    times = as_timestamps(timestamps, len(images))
    latest = in_order(state.latest, times)
    new = [PendingFrame(image, time) for image, time in zip(images, times, strict=True)]
    _require_one_batch(state, new)
    return replace(state, pending=(*state.pending, *new), latest=latest)


def check_waiting(model: VideoModel, state: StreamState) -> None:
    """Refuse frames that would wait for a temporal patch which can never be encoded; the ValueError
    names their size and the remedy."""
    _require_one_size(state.pending, model.frames_per_patch)
    check_images(model, state.pending, state.cursor)


def check_images(model: VideoModel, frames: Sequence[Frame], cursor: Cursor) -> None:
    """Refuse frames of a kind or size that the model cannot encode; the ValueError names kind or
    size and the remedy."""
    _require_kind(model, frames)
    images = [image for image, _ in frames if not is_text_frame(image)]
    for height, width in {tuple(image.shape[-3:-1]) for image in images}:
        model.check_image(height, width, cursor)


def _encode_patch(model: VideoModel, patch: Sequence[Frame], cursor: Cursor) -> FrameTokens:
    _require_kind(model, patch)
    _require_one_size(patch, len(patch))
    images, times = torch.stack([image for image, _ in patch]), [time for _, time in patch]
    if images.dim() < 5:
        return model.encode(images, times, cursor)
    return join_videos([model.encode(video, times, cursor) for video in images.unbind(1)])


def _require_kind(model: VideoModel, frames: Sequence[Frame]) -> None:
    if not model.reads_text and any(is_text_frame(image) for image, _ in frames):
        raise ValueError(
            f"{type(model).__name__} sees images, not frames of a text: push images, or load a "
            "text decoder"
        )


def _require_one_batch(state: StreamState, new: Sequence[PendingFrame]) -> None:
    pushed = sorted({frame.videos for frame in new})
    if len(pushed) > 1:
        raise ValueError(
            f"frames pushed together are of {pushed} videos: give the same number for all, see "
            "stack_videos"
        )
    if state.videos not in (None, *pushed):
        raise ValueError(
            f"this stream is of {state.videos} videos, the pushed frames are of {pushed[0]}: push "
            "frames of every video together, see stack_videos, and other videos to another session"
        )


def _require_one_size(patch: Sequence[Frame], length: int) -> None:
    sizes = {tuple(image.shape) for image, _ in patch}
    if len(sizes) > 1:
        raise ValueError(
            f"frames of one temporal patch differ in size: {sorted(sizes)}; resize the video to "
            f"one size, or change the size only after a multiple of {length} frames"
        )
