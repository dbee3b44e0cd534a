"""What `crossframe observe` is told besides model and memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...framework import require_count

CAPACITIES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
RECENT_FRAMES = (1, 4, 16, 64)


@dataclass(frozen=True)
class ObserveOptions:
    """What to observe.

    Args:
        videos: video files; means count each of them once.
        output: folder for rows, figures and pages.
        frames: frames taken from every video, evenly over all of it.
        capacities: slots whose evidence is measured; those that hold a whole video are left out.
        recent_frames: windows of last frames whose mass is measured beside the best tokens.
        max_tokens: planned length of each stream; null is what it needs, at least the range the
            model was trained for.

    Raises:
        ValueError: for numbers that cannot be, no video, or two videos of one name.
    """

    videos: tuple[str, ...]
    output: str = "runs/observe"
    frames: int = 128
    capacities: tuple[int, ...] = CAPACITIES
    recent_frames: tuple[int, ...] = RECENT_FRAMES
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        require_count("observe", "frames", self.frames, least=2, unbounded=False)
        for name in ("capacities", "recent_frames"):
            for count in getattr(self, name):
                require_count("observe", name, count, least=1, unbounded=False)
        if not self.videos or not self.capacities:
            raise ValueError("observe: give at least one video and one capacity")
        names = [Path(video).stem for video in self.videos]
        twins = sorted({name for name in names if names.count(name) > 1})
        if twins:
            raise ValueError(
                f"observe: more than one video is called {', '.join(twins)}, but rows and pages go "
                "by that name: rename or link them"
            )
