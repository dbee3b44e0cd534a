"""One pass over a video for several sessions at once: frames are decoded and encoded once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

from ...framework import Cursor, VideoModel, VideoSession
from ...framework.frame_tokens import advance
from ...framework.stream.encoding import Encoded, Frame, encode_frames
from ...framework.video import VideoError

Name = TypeVar("Name", bound=Hashable)


@dataclass(eq=False)
class CellStream:
    """A session that takes its frames in steps of its own size.

    A pass that stops for questions must cut steps as a session would that saw the frames up to
    there in one push. So patches wait until they fill a step, and a question finds those that wait
    pushed to a fork.
    """

    session: VideoSession
    waiting: list[Encoded] = field(default_factory=list)

    def push(self, part: Encoded) -> None:
        """The prompt, a step of its own, or a temporal patch."""
        self.waiting.append(part)
        if part.images == 0 or len(self.waiting) == self.session.frames_per_step:
            self.session.push(self.waiting)
            self.waiting = []

    def here(self, begun: Sequence[Encoded]) -> VideoSession:
        """A session that has seen everything so far; a patch that is only begun comes last and
        alone, as `ask` itself would let it pass."""
        if not self.waiting and not begun:
            return self.session
        session = self.session.fork()
        if self.waiting:
            session.push(self.waiting)
        for part in begun:
            session.push(part)
        return session


class SharedStream(Generic[Name]):
    """Raw frames in, encoded patches out to every session.

    Args:
        sessions: new ones, by name.
        patch_tokens: most tokens of a temporal patch; None for any number.

    Attributes:
        frames: raw ones so far.
    """

    def __init__(
        self,
        model: VideoModel,
        sessions: Mapping[Name, VideoSession],
        patch_tokens: int | None = None,
    ) -> None:
        self.model, self.patch_tokens, self.frames = model, patch_tokens, 0
        self.cells = {name: CellStream(session) for name, session in sessions.items()}
        self._cursor = Cursor()
        self._begun: list[Frame] = []

    def push(self, image: Tensor, seconds: float | None) -> None:
        """One raw frame uint8 [height, width, 3] and its time.

        Raises:
            VideoError: if the model cannot take it, or makes more tokens of it than planned.
        """
        self.frames += 1
        self._begun.append((image, seconds))
        if len(self._begun) < self.model.frames_per_patch:
            return
        for part in self._encoded():
            self._cursor = advance(self._cursor, part.tokens)
            for cell in self.cells.values():
                cell.push(part)
        self._begun = []

    def sessions(self) -> Iterator[tuple[Name, VideoSession]]:
        """A session of every cell that has seen exactly the frames so far, one after another; its
        costs are those of a session that saw them alone, the time of encoding them included."""
        begun = self._encoded() if self._begun else []
        for name, cell in self.cells.items():
            yield name, cell.here(begun)

    def _encoded(self) -> list[Encoded]:
        parts = encode_file_frames(self.model, self._begun, self._cursor)
        tokens = parts[-1].tokens.num_tokens
        if self.patch_tokens is not None and tokens > self.patch_tokens:
            raise VideoError(
                f"its frames grow from {self.patch_tokens} to {tokens} tokens at "
                f"{self._begun[0][1]:g} s: re-encode the video to one size, or plan for more with "
                "max_tokens"
            )
        return parts


def encode_file_frames(
    model: VideoModel, frames: Sequence[Frame], cursor: Cursor | None = None
) -> list[Encoded]:
    """The frames of one temporal patch, behind the prompt where the stream begins with them.

    Raises:
        VideoError: for frames that the model cannot take.
    """
    try:
        return list(encode_frames(model, frames, cursor))
    except ValueError as error:
        raise VideoError(
            f"the model cannot take the frame at {frames[0][1]:g} s: {error}"
        ) from error
