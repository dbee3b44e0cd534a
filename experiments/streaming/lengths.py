"""How long a stream will be in tokens: RoPE scaling has to be fixed before the first frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, islice

import torch
from torch import Tensor

from ...framework import Cursor, PlainArchive, VideoModel
from ...framework.archives.room import require_room
from ...framework.frame_tokens import advance
from ...framework.stream.encoding import Frame
from ..benchmarks.question import Question
from .cells import Cell
from .media import media_at
from .plan import Pass, Stop, set_up
from .shared_stream import SharedStream, encode_file_frames

# Room beyond what is counted, as in StateKV's release.
SLACK_TOKENS = 128


@dataclass(frozen=True)
class Stretch:
    """Stops of a pass that one stream can serve, because their sessions plan for one length.

    Attributes:
        model: set up for the pass.
        video: the pass, with the frames that the model makes of a text.
        planned_tokens: the length.
        patch_tokens: most tokens of a temporal patch that the length has room for; None: any.
        stream_tokens: of prompt and frames, at most.
    """

    model: VideoModel
    video: Pass
    stops: Sequence[Stop]
    planned_tokens: int
    patch_tokens: int | None
    stream_tokens: int

    def opened(self, cells: Mapping[str, Cell]) -> SharedStream[str]:
        """A stream for new sessions of these cells.

        Raises:
            ValueError: for archives that will not fit, before any frame has passed.
        """
        codecs = [cell.archive or PlainArchive() for cell in cells.values()]
        require_room(codecs, self.model, self.stream_tokens)
        sessions = {
            name: cell.session(self.model, self.planned_tokens) for name, cell in cells.items()
        }
        return SharedStream(self.model, sessions, self.patch_tokens)


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
        VideoError: if the first frame cannot be read, or for a text that the model cannot take.
        ValueError: for a file or a system turn that is nothing for the model.
    """
    model, video = set_up(model, video, reply_tokens, max_tokens)
    opening = Opening(model, media_at(model, video.path, video.times))
    room, times = reply_tokens + SLACK_TOKENS, video.times[: video.stops[-1].frames]
    seen = opening.tokens(times)
    if max_tokens is not None:
        return [Stretch(model, video, video.stops, max_tokens, None, seen)]
    longest = seen + _asked(model, video.stops) + room
    most = opening.last_tokens(times)
    if longest <= model.trained_tokens or not model.scaled_by_length:
        planned = max(longest, model.trained_tokens)
        return [Stretch(model, video, video.stops, planned, most, seen)]
    needed = {
        frames: max(
            opening.tokens(times[:frames]) + _asked(model, stops) + room, model.trained_tokens
        )
        for frames, stops in groupby(video.stops, key=lambda stop: stop.frames)
    }
    return [
        Stretch(model, video, list(stops), planned, most, seen)
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


class Opening:
    """The prompt and the first temporal patch of a stream: what is known of its length beforehand.

    Args:
        frames: of the stream; no more are taken than make a patch.

    Attributes:
        frames: those that were taken.
        prompt_tokens, patch_tokens: of both.

    Raises:
        VideoError: for frames that the model cannot take.
    """

    def __init__(self, model: VideoModel, frames: Iterable[Frame]) -> None:
        self.model, self.frames = model, list(islice(frames, model.frames_per_patch))
        *prompt, first = encode_file_frames(model, self.frames)
        self.prompt_tokens = sum(part.tokens.num_tokens for part in prompt)
        self.patch_tokens = first.tokens.num_tokens
        self._behind = reduce(advance, (part.tokens for part in (*prompt, first)), Cursor())

    def tokens(self, times: Sequence[float]) -> int:
        """Of the prompt and raw frames at these times, at most."""
        return self.prompt_tokens + self._patches(times) * self.last_tokens(times)

    def last_tokens(self, times: Sequence[float]) -> int:
        """Of the last temporal patch of raw frames at these times.

        Text such as "Frame 100" or "<99.5 seconds>" grows along the stream, so that no patch has
        more; it is encoded with the first patch's pictures.
        """
        number = self._patches(times) - 1
        if number == 0:
            return self.patch_tokens
        before = self.prompt_tokens + number * self.patch_tokens
        cursor = Cursor(before, number, self._behind.position)
        late = times[number * self.model.frames_per_patch :]
        last = [(image, time) for (image, _), time in zip(self.frames, late, strict=False)]
        (part,) = encode_file_frames(self.model, last, cursor)
        return part.tokens.num_tokens

    def _patches(self, times: Sequence[float]) -> int:
        return -(-len(times) // self.model.frames_per_patch)
