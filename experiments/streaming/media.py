"""What is streamed, by the suffix of its file: the images of a video, or the tokens of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

from rich.console import Console
from torch import Tensor

from ...framework import Cursor, TextFrames, VideoModel
from ...framework.text import read_text
from ...framework.video import VideoError, VideoSamples, frames_at
from ...framework.video.source import is_address
from .frames import VideoFrames
from .options import StreamOptions

TEXTS = (".txt",)


def is_text(path: str | PathLike[str]) -> bool:
    """Whether a file is streamed as a text; everything else is a video."""
    return not is_address(path) and Path(path).suffix.lower() in TEXTS


def open_media(path: str | Path, options: StreamOptions) -> VideoFrames | TextFile:
    """The frames of a file, a folder of images or an address, still to be read.

    Raises:
        ValueError: for a file that is missing, no video, or no text with words in it.
    """
    if not is_text(path):
        return VideoFrames(path, options)
    for name in ("start", "end", "rate"):
        if getattr(options, name) not in (None, 0.0):
            raise ValueError(
                f"{path}: {name} is {getattr(options, name)}; leave it out, a text has no seconds"
            )
    return TextFile(Path(path))


def seen_by(
    model: VideoModel,
    media: VideoFrames | TextFile,
    options: StreamOptions,
    system: str | None = None,
) -> tuple[VideoModel, VideoFrames | TextFileFrames]:
    """The model set up for a stream of so many frames, and the frames as it takes them; `system` is
    the system turn, None for the model's own.

    Raises:
        ValueError: for a video and a model that reads text or the other way round, and for a text
            shorter than one frame or longer than the stream may be.
    """
    require_readable_file(model, media.path)
    if isinstance(media, VideoFrames):
        return model.for_stream(media.expected, system=system, fps=media.fps), media
    frames = text_frames(model, media.path, media.text)
    if options.max_frames is not None and len(frames) > options.max_frames:
        raise ValueError(
            f"{media.path} makes {len(frames)} frames of {frames.tokens_per_frame} tokens, more "
            f"than {options.max_frames}, and a text is not thinned: allow more frames, or give "
            "more tokens per frame"
        )
    _require_room(model, media.path, frames, options.max_tokens, options.max_new_tokens)
    return model.for_stream(len(frames), system=system), TextFileFrames(media.path, frames)


def require_readable_file(model: VideoModel, path: str | PathLike[str]) -> None:
    """Refuse a file that is nothing for a model; the ValueError names both."""
    name = type(model).__name__
    if is_text(path) and not model.reads_text:
        raise ValueError(
            f"{path} is a text, and {name} sees images: give a video, or a text decoder such as "
            "smollm2-135m"
        )
    if model.reads_text and not is_text(path):
        raise ValueError(
            f"{path} is a video, and {name} reads text alone: give a text ({', '.join(TEXTS)}), or "
            "a model that sees"
        )


def text_frames(model: VideoModel, path: Path, text: str) -> TextFrames:
    """A file's text in frames.

    Raises:
        VideoError: naming the file, for a text that the model cannot take.
    """
    try:
        return model.text_frames(text)
    except ValueError as error:
        raise VideoError(f"{path}: {error}") from error


def frame_times(
    model: VideoModel, path: Path, max_tokens: int | None = None, room: int = 0
) -> list[float]:
    """The numbers of a text's frames, which stand where a video's frames have seconds.

    Args:
        max_tokens: the longest that the stream may be; None: the range the model was trained for.
        room: most tokens of an answer.

    Raises:
        ValueError: for a file that is nothing for the model.
        VideoError: for a text shorter than one frame or longer than the stream may be.
    """
    require_readable_file(model, path)
    frames = text_frames(model, path, read_text(path))
    _require_room(model, path, frames, max_tokens, room)
    return [number for _, number in frames]


def media_at(
    model: VideoModel, path: Path, times: Sequence[float], *, strict: bool = False
) -> VideoSamples | TextFileFrames:
    """The frames of a file at given times, seconds of a video or numbers of a text's frames, as
    `frames_at` gives those of a video."""
    require_readable_file(model, path)
    if not is_text(path):
        return frames_at(path, times, strict=strict)
    chosen, frames = set(times), text_frames(model, path, read_text(path))
    return TextFileFrames(path, [frame for frame in frames if frame[1] in chosen])


class TextFile:
    """A text that was read, and not yet cut into frames: that takes a model's tokenizer.

    Raises:
        ValueError: for a file that is missing, empty or not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, read_text(path)


class TextFileFrames:
    """Frames of a text file, one at a time, as `VideoFrames` and `VideoSamples` give a video's.

    Attributes:
        path, name: the file.
        expected: how many frames there are.
        begin, duration: the numbers of a whole text's first and last frame.
        taken: how many there were so far.
        fps, flagged, warn, close: of videos alone.
    """

    fps: float | None = None
    begin = 0.0
    flagged = 0

    def __init__(self, path: Path, frames: TextFrames | Sequence[tuple[Tensor, float]]) -> None:
        self.path, self.name, self._frames = path, str(path), iter(frames)
        self.expected, self.taken = len(frames), 0
        self.duration = float(len(frames) - 1)

    def __iter__(self) -> Iterator[tuple[Tensor, float]]:
        return self

    def __next__(self) -> tuple[Tensor, float]:
        frame = next(self._frames)
        self.taken += 1
        return frame

    def warn(self, console: Console) -> None:
        """A text has no damage to tell of."""

    def close(self) -> None:
        """Nothing is open."""


def _require_room(
    model: VideoModel, path: Path, frames: TextFrames, max_tokens: int | None, room: int
) -> None:
    start = model.prologue(Cursor())
    tokens = len(frames.ids) + (start.num_tokens if start is not None else 0)
    most = max_tokens or model.trained_tokens
    if tokens + room > most:
        what = "max_tokens allows" if max_tokens else "the model was trained for"
        raise VideoError(
            f"{path} takes {tokens} tokens and the answer up to {room}, more than the {most} that "
            f"{what}: give a shorter text, or plan for more with max_tokens"
        )
