"""The knobs of a video: what is shown, how long, how crowded, how much of it changes."""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import SHAPES

STAGES = ("scenes", "cups", "exits")
Range = int | tuple[int, int]


@dataclass(frozen=True)
class Setting:
    """What a clip is drawn by, beside its part and seed.

    A clip is a row of scenes of one length. On the stage "scenes" each shows an object or nothing,
    on "cups" a ball or a swap of two cups, on "exits" an object that leaves the picture.

    Args:
        size: of the square frames in pixels, 32 to 128, a multiple of 4.
        stage: one of `STAGES`.
        background: "static" stays pixel for pixel until it is cut; "changing" drifts and has new
            noise in every step.
        scene: frames that a scene stays, 1 to 30, or (least, most) to draw a length per clip from;
            rounded up to whole steps.
        cuts: probability that a scene begins with another kind of background.
        distractors: small grey shapes that nothing asks about, new after each cut.
        motion: pixels, at 32 pixels size, that an object moves at most inside its scene, each way.
        occlusion: probability that a bar covers a quarter of a scene's object, wandering over it.
        presence: probability that a scene shows an object.
        shapes: how many shapes come again and again, or (least, most) to draw it per clip from.
        once: shapes beside them that come exactly once, at any time, if there are as many objects.
        every: things change only at frames that are multiples of it; 2 for models that pair frames.

    Raises:
        ValueError: naming the knob and what it may be.
    """

    size: int = 32
    stage: str = "scenes"
    background: str = "changing"
    scene: Range = 1
    cuts: float = 0.3
    distractors: int = 0
    motion: int = 4
    occlusion: float = 0.0
    presence: float = 0.65
    shapes: Range = (3, 5)
    once: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        self._require(32 <= self.size <= 128 and self.size % 4 == 0, "size", "32 to 128, by 4")
        self._require(self.stage in STAGES, "stage", f"one of {', '.join(STAGES)}")
        known = self.background in ("static", "changing")
        self._require(known, "background", "static or changing")
        self._require(_within(self.scene, 1, 30), "scene", "1 to 30 frames, or (least, most)")
        for name in ("cuts", "occlusion", "presence"):
            self._require(0 <= getattr(self, name) <= 1, name, "a probability, 0 to 1")
        self._require(0 <= self.distractors <= 8, "distractors", "0 to 8")
        self._require(0 <= self.motion <= 16, "motion", "0 to 16 pixels")
        self._require(self.once in (0, 1, 2), "once", "0 to 2 shapes")
        most = len(SHAPES) - self.once
        self._require(_within(self.shapes, 2, most), "shapes", f"2 to {most} beside {self.once}")
        self._require(1 <= self.every <= 8, "every", "1 to 8 frames")

    def _require(self, good: bool, name: str, wanted: str) -> None:
        if not good:
            raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)!r}")


def bounds(value: Range) -> tuple[int, int]:
    """Least and most of a range, or twice a number."""
    return (value, value) if isinstance(value, int) else value


def _within(value: Range, least: int, most: int) -> bool:
    low, high = bounds(value)
    return least <= low <= high <= most
