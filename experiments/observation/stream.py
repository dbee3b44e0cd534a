"""One video through full attention, measured step by step, and through a pictured memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rich.console import Console

from ...framework import CrossFrameMemory, NoArchive, Slots, VideoModel, VideoSession, require_count
from ...methods import ReadCarried
from ..streaming.frames import VideoFrames, progress_bar
from ..streaming.lengths import Opening
from ..streaming.media import TextFile, TextFileFrames, seen_by
from ..streaming.options import StreamOptions
from ..streaming.shared_stream import SharedStream
from .by_frame import MassByFrame
from .evidence import Evidence, WatchedMemory
from .held import FollowedMemory, HeldTokens
from .pictures import PictureTaker
from .tables import Observed, table_of

CAPACITIES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
RECENT_FRAMES = (1, 4, 16, 64)
# Room per temporal patch: the numbers and times written between frames grow longer.
LONGER_TEXT = 8
FULL = ""  # name of the session that is measured; those of pictured memories are their reprs


@dataclass(frozen=True)
class ObserveOptions:
    """What to observe.

    Args:
        output: folder for rows, figures and pages.
        frames: frames taken from every video, evenly over all of it; most frames of a text, which
            is taken whole.
        capacities: slots whose evidence is measured; those that hold a whole video are left out.
        recent_frames: windows of last frames whose mass is measured beside the best tokens.
        strict: refuse a video that is cut off, or has a frame that FFmpeg flags as damaged,
            instead of a warning.
        max_tokens: planned length of each stream; null is what it needs, at least the range the
            model was trained for.

    Raises:
        ValueError: for numbers that cannot be.
    """

    output: str = "runs/observe"
    frames: int = 128
    capacities: Sequence[int] = CAPACITIES
    recent_frames: Sequence[int] = RECENT_FRAMES
    strict: bool = False
    max_tokens: int | None = None

    @property
    def stream(self) -> StreamOptions:
        """How the frames of a file are taken; nothing is asked of them."""
        return StreamOptions(
            fps=None,
            max_frames=self.frames,
            strict=self.strict,
            max_tokens=self.max_tokens,
            max_new_tokens=0,
        )

    def __post_init__(self) -> None:
        require_count("observe", "frames", self.frames, least=2, unbounded=False)
        for name in ("capacities", "recent_frames"):
            counts = getattr(self, name)
            if not counts:
                raise ValueError(f"observe: {name} must name at least one number")
            for count in counts:
                require_count("observe", name, count, least=1, unbounded=False)


def observe_video(
    model: VideoModel,
    media: VideoFrames | TextFile,
    pictured: Sequence[CrossFrameMemory],
    options: ObserveOptions,
    console: Console,
) -> Observed:
    """Push every frame to all sessions as it arrives; mass is let go after each step.

    Raises:
        ValueError: for a video of a single temporal patch: it has no past to measure.
    """
    model, frames = seen_by(model, media, options.stream)
    require_past(frames, frames.expected, model)
    evidence = Evidence(options.capacities, options.recent_frames)
    by_frame = MassByFrame()

    def show(slots: Slots) -> None:
        evidence(slots)
        by_frame(slots)

    held = {repr(memory): HeldTokens(model.spec) for memory in pictured}
    followed = {repr(memory): FollowedMemory(memory, held[repr(memory)]) for memory in pictured}
    memories: dict[str, CrossFrameMemory] = {FULL: WatchedMemory(show), **followed}
    camera = PictureTaker(model.frames_per_patch, model.text)
    with progress_bar(console) as bar:
        tracked = bar.track(frames, total=frames.expected, description=frames.path.stem)
        passing = camera.watch(tracked)
        opening = Opening(model, passing)
        planned = _planned_tokens(model, options, opening, frames.expected)
        unread: dict[str, Any] = {"archive": NoArchive(), "reader": ReadCarried()}
        sessions = {
            name: VideoSession(model, one, max_tokens=planned, **unread)
            for name, one in memories.items()
        }
        stream = SharedStream(model, sessions)
        for image, seconds in chain(opening.frames, passing):
            stream.push(image, seconds)
        cursor = dict(stream.sessions())[FULL].cursor
    frames.warn(console)
    require_past(frames, frames.taken, model)
    counts = {"frames": frames.taken, "flagged_frames": frames.flagged}
    tables = {
        "rows": evidence.rows,
        "recency": evidence.recency,
        "parts": by_frame.parts(),
        "distances": by_frame.distances(),
    }
    return Observed(
        frames.path.stem,
        {**counts, "steps": cursor.frames, "tokens": cursor.tokens},
        {name: table_of(rows) for name, rows in tables.items()},
        {name: own.frames(camera.pictures, model.patch_grid) for name, own in held.items()},
    )


def require_past(frames: VideoFrames | TextFileFrames, count: int, model: VideoModel) -> None:
    """Refuse a video too short for a second step; the ValueError names the file."""
    needed = model.frames_per_patch + 1
    if count < needed:
        raise ValueError(
            f"{frames.path}: {count} frame(s) make one step, which has no earlier frames to look "
            f"at: take at least {needed} with --frames, or a longer video or text"
        )


def _planned_tokens(
    model: VideoModel, options: ObserveOptions, opening: Opening, frames: int
) -> int:
    """The length to plan RoPE scaling for: it has to be fixed before the first frame.

    Raises:
        ValueError: before any of the video has passed, for what is sure to be wrong in the end.
    """
    patches = -(-frames // model.frames_per_patch)
    # A text's last frame may be shorter.
    least = opening.prompt_tokens + (patches - 1) * opening.patch_tokens + 1
    most = opening.prompt_tokens + patches * (opening.patch_tokens + LONGER_TEXT)
    if min(options.capacities) >= most:
        raise ValueError(all_held(options))
    if options.max_tokens is not None and options.max_tokens < least:
        raise ValueError(
            f"the video takes at least {least} tokens, more than max_tokens={options.max_tokens}: "
            "leave --max-tokens out, or take fewer --frames"
        )
    return options.max_tokens or max(model.trained_tokens, most)


def all_held(options: ObserveOptions) -> str:
    """What is wrong with capacities that evict nothing."""
    return (
        f"every capacity of {list(options.capacities)} holds the whole video, so nothing would be "
        "evicted: give smaller --capacities or take more --frames"
    )
