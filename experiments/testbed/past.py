"""What has been shown up to a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from .truth import Scene, Truth


@dataclass(frozen=True, eq=False)
class Past:
    """A clip up to a frame, the last one seen.

    Attributes:
        truth: of the whole clip; rules for fair questions may look ahead, answers never do.
        frame: the last one seen.
    """

    truth: Truth
    frame: int

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """Those that have begun, in order."""
        return tuple(scene for scene in self.truth.scenes if scene.start <= self.frame)

    @property
    def present(self) -> Scene | None:
        """The object in view."""
        last = self.scenes[-1] if self.scenes else None
        return last if last is not None and last.end > self.frame else None

    def of_shape(self, shape: int) -> list[Scene]:
        """Its scenes so far."""
        return [scene for scene in self.scenes if scene.shape == shape]

    def frames(self, scenes: Iterable[Scene]) -> tuple[int, ...]:
        """The frames seen of some scenes in order."""
        seen: list[int] = []
        for scene in scenes:
            seen += range(scene.start, min(scene.end, self.frame + 1))
        return tuple(seen)

    def ago(self, scene: Scene) -> int:
        """Frames since the last one seen of a scene; 0 while it is in view."""
        return self.frame - min(scene.end - 1, self.frame)
