"""Every frame encoded once and pushed to many sessions, as it arrives.

Positions follow the stream whatever a memory drops, so what the sessions get is exactly what each
would have encoded for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from ...framework import Cursor, FrameTokens, VideoModel, VideoSession
from ...framework.frame_tokens import advance
from ...framework.stream.costs import Timer
from ...framework.video import VideoError
from .frames import groups

Frames = Sequence[tuple[Tensor, float]]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Tokens that every session is given, with the time the vision side took for them."""

    tokens: FrameTokens
    images: int  # 0 for the prompt before the video
    timer: Timer | None = None

    @property
    def milliseconds(self) -> float:
        """Time of the vision encoder and projector; 0 for the prompt."""
        return self.timer.milliseconds if self.timer else 0.0


@dataclass(frozen=True)
class Step:
    """What one step of every session took in."""

    images: int
    timestamp: float | None
    encode_milliseconds: float


def encode_frames(model: VideoModel, frames: Iterable[tuple[Tensor, float]]) -> Iterator[Encoded]:
    """The prompt before the video, then every temporal patch, as a session would encode them.

    Positions follow the stream whatever a memory drops, so many sessions can share the result.
    """
    cursor = Cursor()
    prompt = model.prologue(cursor)
    if prompt is not None:
        yield Encoded(prompt, 0)
        cursor = advance(cursor, prompt)
    for patch in groups(frames, model.frames_per_patch):
        timer = Timer(model.device)
        tokens = encode_patch(model, patch, cursor)
        yield Encoded(tokens, len(patch), timer.stop())
        cursor = advance(cursor, tokens)


@torch.no_grad()
def encode_patch(model: VideoModel, frames: Frames, cursor: Cursor) -> FrameTokens:
    """One temporal patch.

    Raises:
        VideoError: for frames that the model cannot take.
    """
    sizes = sorted({tuple(image.shape[:2]) for image, _ in frames})
    if len(sizes) > 1:
        raise VideoError(
            f"frames of one temporal patch differ in size: {sizes}; re-encode the video"
        )
    images, times = torch.stack([image for image, _ in frames]), [time for _, time in frames]
    try:
        return model.encode(images, times, cursor)
    except ValueError as error:
        raise VideoError(f"the model cannot take the frame at {times[0]:g} s: {error}") from error


def push_all(
    model: VideoModel,
    sessions: Iterable[VideoSession],
    frames: Iterable[tuple[Tensor, float]],
    frames_per_step: int,
) -> list[Step]:
    """Hand every frame to every session as it arrives."""
    steps: list[Step] = []
    encoded = encode_frames(model, frames)
    for group in _as_steps(encoded, frames_per_step):
        for session in sessions:
            session.push([part.tokens for part in group])
        milliseconds = sum(part.milliseconds for part in group)
        images = sum(part.images for part in group)
        steps.append(Step(images, group[0].tokens.timestamp, milliseconds))
    return steps


def _as_steps(encoded: Iterator[Encoded], frames_per_step: int) -> Iterator[list[Encoded]]:
    """Groups that make one decoder step each; the prompt is a step of its own."""
    first = next(encoded, None)
    if first is None:
        return
    if first.images == 0:
        yield [first]
        yield from groups(encoded, frames_per_step)
    else:
        yield from groups(chain([first], encoded), frames_per_step)
