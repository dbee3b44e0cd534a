"""What a session was opened with and where it stands: all that is saved of it."""

from __future__ import annotations

from dataclasses import replace

from ..archives.reader import Reader
from ..archives.storage import ArchiveStorage
from ..frame_tokens import Cursor
from ..memory import CrossFrameMemory
from ..model import VideoModel
from ..slots import Slots
from .costs import StepCosts, held_bytes
from .finite import NOT_FINITE, is_finite
from .progress import Progress
from .state import StreamState, carried_slots, empty_slots


class SessionView:
    """What can be read of a `VideoSession` at any time, also while a call is going on; attributes
    as its arguments."""

    model: VideoModel
    memory: CrossFrameMemory
    reader: Reader
    in_frame: str
    frames_per_step: int
    max_tokens: int
    attention: str
    # All that changes, replaced as a whole: every call reads it once.
    _now: Progress

    def __repr__(self) -> str:
        seen, now = self.cursor, self._now
        return (
            f"{type(self).__name__}({self.memory!r}, {seen.frames} frames, {seen.tokens} tokens, "
            f"{now.state.bytes_held} bytes of state, {now.archive.bytes_held} of archive)"
        )

    @property
    def cursor(self) -> Cursor:
        """Tokens, frames and positions seen so far."""
        return self._now.state.cursor

    @property
    def archive(self) -> ArchiveStorage:
        """The KV of all frames, kept for answering; later pushes do not show."""
        return self._now.archive

    @property
    def costs(self) -> StepCosts:
        """What each of the newest steps cost, and the totals of all."""
        return self._now.costs

    @property
    def state_bytes(self) -> int:
        """Bytes held for later frames; without raw frames that wait, see `pending_bytes`."""
        return self._now.state.bytes_held

    @property
    def shared_bytes(self) -> int:
        """Those of `state_bytes` that are the archive's, too: keys and values of a memory that has
        kept everything, which lie in a plain archive once."""
        return self._now.state.archived_bytes

    @property
    def recurrent_bytes(self) -> int:
        """Those of `state_bytes` that layers without KV carry, the same at any length."""
        return held_bytes(self._now.state.recurrent.values())

    @property
    def pending_bytes(self) -> int:
        """Bytes of raw frames that wait to be encoded."""
        return self._now.state.pending_bytes

    def slots(self, layer: int) -> Slots:
        """The carried slots of one layer of attention; empty before the first push.

        Raises:
            IndexError: if there is no such layer; negative numbers count from the last.
        """
        layers, count = self._now.state.layers, self.model.spec.num_layers
        if not -count <= layer < count:
            raise IndexError(f"there is no layer {layer}: attention has {count}, from 0")
        if not layers:
            return empty_slots(self.model, 1, layer % count)
        return carried_slots(layers[layer])

    @property
    def state(self) -> StreamState:
        """Everything that changes, apart from the archive; read it, do not write into it."""
        return self._now.state

    def resume(self, state: StreamState, archive: ArchiveStorage) -> None:
        """Continue from another point, as `load` does."""
        self._now = replace(self._now, state=state, archive=archive.fork())

    def check(self) -> None:
        """Raise what accelerators could not say without waiting, and NaN or Inf in the model."""
        self._now.checks.raise_failed()
        if not is_finite(self._now.state.finite):
            raise ValueError(NOT_FINITE)
