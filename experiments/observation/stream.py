"""One video through full attention, measured step by step, and through a pictured memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from rich.console import Console

from ...framework import CrossFrameMemory, NoArchive, Slots, VideoModel, VideoSession
from ...methods import ReadCarried
from ..streaming.frames import VideoFrames, progress_bar
from ..streaming.media import TextFile, TextFileFrames, seen_by
from ..streaming.sharing import Encoded, encode_frames
from .by_frame import MassByFrame
from .evidence import Evidence, WatchedMemory
from .held import FramePatches, HeldTokens
from .options import ObserveOptions
from .pictures import PictureTaker
from .tables import Table, table_of

# Room per temporal patch: the numbers and times written between frames grow longer.
LONGER_TEXT = 8


@dataclass(frozen=True, eq=False)
class Observed:
    """What was measured on one video.

    Attributes:
        name: of the file, without its ending.
        steps: temporal patches that passed; `frames` raw ones, and `flagged_frames` that FFmpeg
            flags as damaged.
        tokens: of the stream, prompt included.
        rows, recency: as `Evidence`.
        parts, distances: as `MassByFrame`.
        held: what the memory held of every frame.
    """

    name: str
    frames: int
    flagged_frames: int
    steps: int
    tokens: int
    rows: Table
    recency: Table
    parts: Table
    distances: Table
    held: list[FramePatches]


def observe_video(
    model: VideoModel,
    media: VideoFrames | TextFile,
    memory: CrossFrameMemory,
    options: ObserveOptions,
    console: Console,
) -> Observed:
    """Push every frame to both sessions as it arrives; mass is let go after each step.

    Raises:
        ValueError: for a video of a single temporal patch: it has no past to measure.
    """
    frames = seen_by(model, media, options.stream)
    model = model.for_stream(frames.expected, fps=frames.fps)
    require_past(frames, frames.expected, model)
    evidence = Evidence(options.capacities, options.recent_frames)
    by_frame = MassByFrame()

    def show(slots: Slots) -> None:
        evidence(slots)
        by_frame(slots)

    camera = PictureTaker(model.frames_per_patch, model.text)
    with progress_bar(console) as bar:
        tracked = bar.track(frames, total=frames.expected, description=frames.path.stem)
        encoded = encode_frames(model, camera.watch(tracked))
        opening = _opening(encoded)
        patches = -(-frames.expected // model.frames_per_patch)
        _require_room(options, opening, patches)
        planned = options.max_tokens or _planned_tokens(model, opening, patches)
        full = VideoSession(
            model,
            WatchedMemory(show),
            archive=NoArchive(),
            reader=ReadCarried(),
            max_tokens=planned,
        )
        held = HeldTokens(model, memory, planned)
        for part in chain(opening, encoded):
            full.push(part.tokens)
            held.push(part.tokens)
    frames.warn(console)
    require_past(frames, frames.taken, model)
    return Observed(
        name=frames.path.stem,
        frames=frames.taken,
        flagged_frames=frames.flagged,
        steps=full.cursor.frames,
        tokens=full.cursor.tokens,
        rows=table_of(evidence.rows),
        recency=table_of(evidence.recency),
        parts=table_of(by_frame.parts()),
        distances=table_of(by_frame.distances()),
        held=held.frames(camera.pictures),
    )


def require_past(frames: VideoFrames | TextFileFrames, count: int, model: VideoModel) -> None:
    """Refuse a video too short for a second step.

    Raises:
        ValueError: naming the file.
    """
    needed = model.frames_per_patch + 1
    if count < needed:
        raise ValueError(
            f"{frames.path}: {count} frame(s) make one step, which has no earlier frames to look "
            f"at: take at least {needed} with --frames, or a longer video or text"
        )


def _opening(encoded: Iterator[Encoded]) -> list[Encoded]:
    """The prompt before the video, if there is one, and the first temporal patch."""
    opening: list[Encoded] = []
    for part in encoded:
        opening.append(part)
        if part.images:
            break
    return opening


def _require_room(options: ObserveOptions, opening: list[Encoded], patches: int) -> None:
    """Refuse, before any of the video has passed, what is sure to be wrong in the end."""
    *prompt, first = (part.tokens.num_tokens for part in opening)
    least = sum(prompt) + (patches - 1) * first + 1  # a text's last frame may be shorter
    most = sum(prompt) + patches * (first + LONGER_TEXT)
    if min(options.capacities) >= most:
        raise ValueError(all_held(options))
    if options.max_tokens is not None and options.max_tokens < least:
        raise ValueError(
            f"the video takes at least {least} tokens, more than max_tokens={options.max_tokens}: "
            "leave --max-tokens out, or take fewer --frames"
        )


def all_held(options: ObserveOptions) -> str:
    """What is wrong with capacities that evict nothing."""
    return (
        f"every capacity of {list(options.capacities)} holds the whole video, so nothing would be "
        "evicted: give smaller --capacities or take more --frames"
    )


def _planned_tokens(model: VideoModel, opening: list[Encoded], patches: int) -> int:
    """The length to plan RoPE scaling for: it has to be fixed before the first frame."""
    *prompt, first = (part.tokens.num_tokens for part in opening)
    return max(model.trained_tokens, sum(prompt) + patches * (first + LONGER_TEXT))
