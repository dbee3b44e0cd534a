"""Whether the archives of a video's sessions will fit, told before its first frame passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from torch import Tensor

from ...framework import Cursor, VideoModel
from ...framework.archives.codec import Archive
from ...framework.archives.room import require_room
from .frames import VideoFrames
from .media import TextFileFrames
from .shared_stream import encode_file_frames


def with_archive_room(
    frames: VideoFrames | TextFileFrames,
    model: VideoModel,
    codecs: Sequence[Archive],
    cursor: Cursor | None = None,
) -> Iterator[tuple[Tensor, float]]:
    """The same frames, of which none is given where archives of all of them would not fit.

    The tokens of the first temporal patch stand for those of every other; how long a live stream
    will be nobody knows, so it is let pass.

    Args:
        codecs: of all sessions that take the frames.
        cursor: where they stand; None: at their beginning.

    Raises:
        ValueError: naming the bytes needed and free, and what to use instead.
    """
    passing, size = iter(frames), model.frames_per_patch
    first = list(islice(passing, 0 if math.isinf(frames.duration) else size))
    if first:
        *prompt, patch = (
            part.tokens.num_tokens for part in encode_file_frames(model, first, cursor)
        )
        require_room(codecs, model, sum(prompt) + patch * math.ceil(frames.expected / size))
    yield from first
    yield from passing
