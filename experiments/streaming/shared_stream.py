"""One pass over a video for several cells at once: frames are decoded and encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ...framework import Cursor, FrameTokens, VideoModel, VideoSession
from ...framework.frame_tokens import advance
from ...framework.stream.costs import Timer
from ...framework.video import VideoError
from .sharing import encode_patch


@dataclass(eq=False)
class CellStream:
    """A session that takes its frames in steps of its own size.

    A pass that stops for questions must cut steps as a session would that saw the frames up to
    there in one push. So patches wait until they fill a step, and a question finds those that wait
    pushed to a fork.
    """

    session: VideoSession
    waiting: list[FrameTokens] = field(default_factory=list)

    def push(self, patch: FrameTokens) -> None:
        self.waiting.append(patch)
        if len(self.waiting) == self.session.frames_per_step:
            self.session.push(self.waiting)
            self.waiting = []

    def here(self, begun: FrameTokens | None) -> VideoSession:
        """A session that has seen everything so far; a patch that is only begun comes last and
        alone, as `ask` itself would let it pass."""
        if not self.waiting and begun is None:
            return self.session
        session = self.session.fork()
        if self.waiting:
            session.push(self.waiting)
        if begun is not None:
            session.push(begun)
        return session


class SharedStream:
    """Raw frames in, encoded patches out to every cell.

    Args:
        sessions: new ones, by the name of their cell.
        patch_tokens: most tokens of a temporal patch; None for any number.
    """

    def __init__(
        self,
        model: VideoModel,
        sessions: Mapping[str, VideoSession],
        patch_tokens: int | None = None,
    ) -> None:
        self.model, self.patch_tokens = model, patch_tokens
        self.cells = {name: CellStream(session) for name, session in sessions.items()}
        self.frames = 0
        self._cursor = Cursor()
        self._begun: list[tuple[Tensor, float]] = []
        self._encoding: list[Timer] = []
        prompt = model.prologue(self._cursor)
        if prompt is not None:  # a step of its own
            for cell in self.cells.values():
                cell.session.push(prompt)
            self._cursor = advance(self._cursor, prompt)

    def push(self, image: Tensor, seconds: float) -> None:
        """One raw frame uint8 [height, width, 3] and its time.

        Raises:
            VideoError: if the model cannot take it, or makes more tokens of it than planned.
        """
        self.frames += 1
        self._begun.append((image, seconds))
        if len(self._begun) < self.model.frames_per_patch:
            return
        patch, timer = self._encode()
        self._encoding.append(timer)
        self._begun = []
        self._cursor = advance(self._cursor, patch)
        for cell in self.cells.values():
            cell.push(patch)

    def sessions(self) -> Iterator[tuple[str, VideoSession, float]]:
        """A session of every cell that has seen exactly the frames so far, one after another, and
        the milliseconds that vision encoder and projector took for them."""
        begun, timers = None, self._encoding
        if self._begun:
            begun, timer = self._encode()
            timers = [*timers, timer]
        milliseconds = sum(timer.milliseconds for timer in timers)
        for name, cell in self.cells.items():
            yield name, cell.here(begun), milliseconds

    def _encode(self) -> tuple[FrameTokens, Timer]:
        timer = Timer(self.model.device)
        patch = encode_patch(self.model, self._begun, self._cursor)
        if self.patch_tokens is not None and patch.num_tokens > self.patch_tokens:
            raise VideoError(
                f"its frames grow from {self.patch_tokens} to {patch.num_tokens} tokens at "
                f"{self._begun[0][1]:g} s: re-encode the video to one size, or plan for more with "
                "max_tokens"
            )
        return patch, timer.stop()
