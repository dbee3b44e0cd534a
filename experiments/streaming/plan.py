"""Which questions share one pass over their video, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

from ...framework import VideoModel
from ...framework.text import read_text
from ...framework.video import probe_video
from ..benchmarks.question import Question
from .media import frame_times, is_text
from .sampling import FrameSampling


@dataclass(frozen=True)
class Sampled:
    """A question with the moments, in seconds, at which frames are taken for it, and how many of
    them there are per second. A text is taken whole; its frames are numbered by `set_up`."""

    question: Question
    path: Path
    times: Sequence[float]
    fps: float | None = None


@dataclass(frozen=True)
class Refused:
    """A question that cannot be asked: `status` is "missing" or "unreadable"."""

    question: Question
    status: str
    why: str


@dataclass(frozen=True)
class Stop:
    """A question asked after the first `frames` frames of a pass."""

    frames: int
    question: Question


@dataclass(frozen=True)
class Pass:
    """One stream over one video.

    Attributes:
        name: the id of the question that needs all of its frames.
        path: the file.
        times: seconds at which frames are taken.
        stops: by rising number of frames.
        system: the system turn, None for the model's own.
        fps: frames per second of video, None if not known.
    """

    name: str
    path: Path
    times: Sequence[float]
    stops: Sequence[Stop]
    system: str | None = None
    fps: float | None = None


def sample_videos(
    questions: Iterable[Question], sampling: FrameSampling, duration_of: Callable[[Path], float]
) -> tuple[list[Sampled], list[Refused]]:
    """Which frames each question needs, and the questions that cannot be asked. `duration_of` gives
    the seconds of a file, is called once for each, and raises ValueError for one that cannot be
    read."""
    sampled: list[Sampled] = []
    refused: list[Refused] = []
    seconds = cache(duration_of)
    for question in questions:
        if question.path is None:
            refused.append(Refused(question, "missing", f"no file of {question.video}"))
            continue
        try:
            if is_text(question.path):
                sampled.append(_whole_text(question, question.path))
                continue
            stretch = (seconds(question.path), question.start, question.end)
            times, fps = sampling.times(*stretch), sampling.rate(*stretch)
        except ValueError as error:
            refused.append(Refused(question, "unreadable", str(error)))
        else:
            sampled.append(Sampled(question, question.path, times, fps))
    return sampled, refused


def set_up(
    model: VideoModel, video: Pass, reply_tokens: int, max_tokens: int | None
) -> tuple[VideoModel, Pass]:
    """The model set up for a pass, and the pass with the frames that it makes of a text.

    Args:
        reply_tokens: most tokens of a reply.
        max_tokens: the planned length of the stream, None for the range the model was trained for.

    Raises:
        VideoError: for a text that the model cannot take.
        ValueError: for a text and a model that reads none, or a system turn that has no place.
    """
    if is_text(video.path):
        times = frame_times(model, video.path, max_tokens, reply_tokens)
        stops = [replace(stop, frames=len(times)) for stop in video.stops]
        video = replace(video, times=times, stops=stops)
    return model.for_stream(len(video.times), video.system, video.fps), video


def _whole_text(question: Question, path: Path) -> Sampled:
    """A question about a text, which is read to see that it can be.

    Raises:
        ValueError: for one about a stretch in seconds, or a file that is no text.
    """
    if (question.start, question.end) != (0.0, None):
        raise ValueError(f"{path} is a text, which has no seconds to ask about a stretch of")
    read_text(path)
    return Sampled(question, path, ())


def video_seconds(path: Path) -> float:
    """Length of a video file.

    Raises:
        VideoError: for a file that cannot be read.
    """
    return probe_video(path).duration


def plan_passes(sampled: Sequence[Sampled], *, share_prefixes: bool = True) -> list[Pass]:
    """Group questions whose sampled frames are prefixes of one another into one pass.

    Exact, because `ask` leaves the session as it was: the answer at a stop is that of a session
    that saw these frames alone. Only questions whose frames come at one rate share, because the
    model may be told it. Passes come in the order of their first question.

    Args:
        share_prefixes: False where the model sizes frames by their number, as Qwen3-VL does; then
            only questions with exactly the same frames share a pass.
    """
    # By file, system turn and rate: what needs all frames of a pass, and its stops by the number of
    # their question.
    passes: dict[tuple[Path, str | None, float | None], list[tuple[Sampled, dict[int, Stop]]]] = {}
    # The longest first: whatever is a prefix of another then finds its host.
    for number, one in sorted(enumerate(sampled), key=lambda pair: -len(pair[1].times)):
        hosts = passes.setdefault((one.path, one.question.system, one.fps), [])
        host = next((h for needs, h in hosts if _fits(one.times, needs.times, share_prefixes)), {})
        if not host:
            hosts.append((one, host))
        host[number] = Stop(len(one.times), one.question)
    in_order = sorted(chain.from_iterable(passes.values()), key=lambda draft: min(draft[1]))
    return [_pass(needs, [stops[number] for number in sorted(stops)]) for needs, stops in in_order]


def _pass(needs: Sampled, stops: Sequence[Stop]) -> Pass:
    first, stops = needs.question, sorted(stops, key=lambda stop: stop.frames)
    return Pass(first.id, needs.path, needs.times, stops, first.system, needs.fps)


def _fits(times: Sequence[float], host: Sequence[float], share_prefixes: bool) -> bool:
    if not share_prefixes and len(times) != len(host):
        return False
    return list(host[: len(times)]) == list(times)
