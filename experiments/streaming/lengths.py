"""How long a stream will be in tokens: RoPE scaling has to be fixed before the first frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import torch
from torch import Tensor

from ...framework import Cursor, VideoModel
from ...framework.frame_tokens import advance
from ..benchmarks.question import Question
from .media import media_at
from .plan import Pass, Stop
from .sharing import Frames, encode_patch

# Room beyond what is counted, as in StateKV's release.
SLACK_TOKENS = 128


@dataclass(frozen=True)
class Stretch:
    """Stops of a pass that one stream can serve, because their sessions plan for one length.

    Attributes:
        planned_tokens: the length.
        patch_tokens: most tokens of a temporal patch that the length has room for; None: any.
    """

    stops: Sequence[Stop]
    planned_tokens: int
    patch_tokens: int | None = None


def stretches(
    model: VideoModel, video: Pass, reply_tokens: int, max_tokens: int | None
) -> list[Stretch]:
    """The stops of a pass by the planned length of their sessions.

    It is what the frames up to the stop, the longest question there and its reply need, at least
    the range the model was trained for; so it does not depend on what else is asked of the video.
    Beyond the trained range it decides what RoPE scaling by length makes of the frames, and stops
    of different lengths need streams of their own.

    Args:
        reply_tokens: most tokens of a reply.
        max_tokens: the planned length of all, if it is given.

    Raises:
        VideoError: if the first frame cannot be read.
    """
    if max_tokens is not None:
        return [Stretch(video.stops, max_tokens)]
    counter = _Counter(model, video)
    room = reply_tokens + SLACK_TOKENS
    longest = counter.tokens(video.stops[-1].frames) + _asked(model, video.stops) + room
    most = counter.patch_tokens(video.stops[-1].frames)
    if longest <= model.trained_tokens or not model.scaled_by_length:
        return [Stretch(video.stops, max(longest, model.trained_tokens), most)]
    needed = {
        frames: max(counter.tokens(frames) + _asked(model, stops) + room, model.trained_tokens)
        for frames, stops in groupby(video.stops, key=lambda stop: stop.frames)
    }
    return [
        Stretch(list(stops), planned, most)
        for planned, stops in groupby(video.stops, key=lambda stop: needed[stop.frames])
    ]


def question_ids(model: VideoModel, question: Question) -> Tensor:
    """[1, tokens] ids of a question and of what its reply is made to begin with."""
    token_ids = model.question_ids(question.prompt)
    if question.reply_start:
        token_ids = torch.cat([token_ids, model.reply_ids(question.reply_start)], 1)
    return token_ids


def _asked(model: VideoModel, stops: Iterable[Stop]) -> int:
    """Tokens of the longest question, with the beginning of its reply."""
    questions = (stop.question for stop in stops)
    return max(question_ids(model, question).shape[1] for question in questions)


class _Counter:
    """Counts the tokens of a stream from its first frames alone.

    Text such as "Frame 100" or "<99.5 seconds>" grows along the stream, so that the last patch has
    the most tokens; it is encoded with the first patch's pictures.
    """

    def __init__(self, model: VideoModel, video: Pass) -> None:
        self.model, self.times = model, video.times
        source = media_at(model, video.path, video.times)
        self.frames: Frames = list(islice(source, model.frames_per_patch))
        prompt = model.prologue(Cursor())
        self.start = Cursor() if prompt is None else advance(Cursor(), prompt)
        self.first = encode_patch(model, self.frames, self.start)

    def tokens(self, frames: int) -> int:
        """Of the prompt and so many raw frames, at most."""
        return self.start.tokens + self._patches(frames) * self.patch_tokens(frames)

    def patch_tokens(self, frames: int) -> int:
        """Of the last temporal patch of so many raw frames."""
        number = self._patches(frames) - 1
        if number == 0:
            return self.first.num_tokens
        behind = advance(self.start, self.first)
        before = self.start.tokens + number * self.first.num_tokens
        times = self.times[number * self.model.frames_per_patch : frames]
        last = [(image, time) for (image, _), time in zip(self.frames, times, strict=False)]
        return encode_patch(self.model, last, Cursor(before, number, behind.position)).num_tokens

    def _patches(self, frames: int) -> int:
        return -(-frames // self.model.frames_per_patch)
