"""One video through full attention, measured step by step, and through the memory to be pictured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from rich.console import Console

from ...framework import CrossFrameMemory, Slots, VideoModel, VideoSession
from ..frames import VideoFrames, progress_bar
from ..sharing import Encoded, encode_frames
from .by_frame import MassByFrame
from .evidence import Evidence, WatchedMemory
from .held import FramePatches, HeldTokens
from .options import ObserveOptions
from .pictures import PictureTaker

# Room per temporal patch: the numbers and times written between frames grow longer.
LONGER_TEXT = 8


@dataclass(frozen=True, eq=False)
class Observed:
    """What was measured on one video.

    Attributes:
        name: of the file, without its ending.
        patches: temporal patches that passed; `frames` raw ones.
        tokens: of the stream, prompt included.
        held: what the memory held of every frame.
    """

    name: str
    frames: int
    patches: int
    tokens: int
    evidence: Evidence
    by_frame: MassByFrame
    held: list[FramePatches]


def observe_video(
    model: VideoModel,
    frames: VideoFrames,
    memory: CrossFrameMemory,
    options: ObserveOptions,
    console: Console,
) -> Observed:
    """Push every frame to both sessions as it arrives; mass is let go after each step.

    Raises:
        ValueError: for a video of a single temporal patch: it has no past to measure.
    """
    name, model = frames.path.stem, model.for_stream(frames.expected)
    require_past(frames, frames.expected, model)
    evidence = Evidence(options.capacities, options.recent_frames)
    by_frame = MassByFrame()

    def show(slots: Slots) -> None:
        evidence(slots)
        by_frame(slots)

    camera = PictureTaker(model.frames_per_patch)
    with progress_bar(console) as bar:
        tracked = bar.track(frames, total=frames.expected, description=name)
        encoded = encode_frames(model, camera.watch(tracked))
        opening = _opening(encoded)
        patches = -(-frames.expected // model.frames_per_patch)
        planned = options.max_tokens or _planned_tokens(model, opening, patches)
        _require_filled(options, opening, patches)
        full = VideoSession(model, WatchedMemory(show), max_tokens=planned)
        held = HeldTokens(VideoSession(model, memory, max_tokens=planned))
        for part in chain(opening, encoded):
            full.push(part.tokens)
            held.push(part.tokens)
    frames.warn(console)
    require_past(frames, frames.taken, model)
    seen = full.cursor
    pictured = held.frames(camera.pictures)
    return Observed(name, frames.taken, seen.frames, seen.tokens, evidence, by_frame, pictured)


def require_past(frames: VideoFrames, count: int, model: VideoModel) -> None:
    """Refuse a video too short for a second step.

    Raises:
        ValueError: naming the file.
    """
    needed = model.frames_per_patch + 1
    if count < needed:
        raise ValueError(
            f"{frames.path}: {count} frame(s) make one step, which has no earlier frames to look "
            f"at: take at least {needed} with --frames, or a longer video"
        )


def _opening(encoded: Iterator[Encoded]) -> list[Encoded]:
    """The prompt before the video, if there is one, and the first temporal patch."""
    opening: list[Encoded] = []
    for part in encoded:
        opening.append(part)
        if part.images:
            break
    return opening


def _require_filled(options: ObserveOptions, opening: list[Encoded], patches: int) -> None:
    """Refuse capacities that all hold the whole video, before any of it has passed."""
    *prompt, first = (part.tokens.num_tokens for part in opening)
    history = sum(prompt) + (patches - 1) * (first + LONGER_TEXT)
    if min(options.capacities) >= history:
        raise ValueError(
            f"every capacity of {list(options.capacities)} holds the whole video (about {history} "
            "tokens before the last frame), so nothing would be evicted: give smaller --capacities"
        )


def _planned_tokens(model: VideoModel, opening: list[Encoded], patches: int) -> int:
    """The length to plan RoPE scaling for: it has to be fixed before the first frame."""
    *prompt, first = (part.tokens.num_tokens for part in opening)
    return max(model.trained_tokens, sum(prompt) + patches * (first + LONGER_TEXT))
