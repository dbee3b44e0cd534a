"""What is shown in words: one sentence a scene."""

from __future__ import annotations

from .kinds import COLOUR_NAMES, SHAPES
from .truth import Truth
from .words import ARTICLE, STOP


def captions(truth: Truth, every: int = 1) -> list[tuple[int, str]]:
    """The frame after which each sentence can be said, and the sentence: (3, "a red star .").

    Args:
        every: as in the clip's setting; the frame is the last of its step.
    """
    return [
        (
            scene.start + every - 1,
            f"{ARTICLE} {COLOUR_NAMES[scene.colour]} {SHAPES[scene.shape]} {STOP}",
        )
        for scene in truth.scenes
    ]
