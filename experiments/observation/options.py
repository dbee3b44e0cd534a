"""What `crossframe observe` is told besides model and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...framework import require_count
from ..streaming.options import StreamOptions

CAPACITIES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
RECENT_FRAMES = (1, 4, 16, 64)


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
