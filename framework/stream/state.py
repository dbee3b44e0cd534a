"""Everything of a session that changes, apart from the archive; replaced, never written into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..archives.archived_slots import ArchivedSlots
from ..frame_tokens import Cursor, FrameTokens
from ..model import RecurrentState, VideoModel
from ..ragged import PackedSlots, pack, unpack
from ..slots import Slots, token_slots
from .costs import held_bytes
from .origin import Origin

# In front of the names of raw frames.
PENDING = "pending."


class PendingFrame(NamedTuple):
    """A raw frame [height, width, 3] that waits to fill a temporal patch; of several videos, one of
    each, [videos, height, width, 3]."""

    image: Tensor
    timestamp: float | None

    @property
    def videos(self) -> int:
        return len(self.image) if self.image.dim() == 4 else 1

    def own(self) -> PendingFrame:
        """A copy: the caller may reuse his buffer, and one frame must not hold a whole clip."""
        return PendingFrame(self.image.clone(), self.timestamp)


@dataclass(frozen=True, eq=False)
class StreamState:
    """A point in a stream. Going back to an earlier one is keeping a reference to it.

    Attributes:
        cursor: tokens, frames and positions so far.
        layers: what each layer carries, packed where heads are ragged; empty before the first push.
            Of a memory that has kept everything, keys and values stay in the archive.
        admission: the tensors of the memory's `admit`.
        previous: the last whole frame, kept for `admit`.
        pending: raw frames that wait for their temporal patch to fill.
        largest_frame: tokens of the largest frame so far.
        origin: where the rotary angles of keys and queries are counted from.
        finite: bool scalar, no step made NaN or Inf of its tokens; None before the first.
        recurrent: what layers without KV carry, see `RecurrentState`.
        latest: seconds, the newest timestamp pushed; None before the first one.
    """

    cursor: Cursor = field(default_factory=Cursor)
    layers: tuple[Slots | PackedSlots, ...] = ()
    admission: dict[str, Tensor] = field(default_factory=dict)
    previous: FrameTokens | None = None
    pending: tuple[PendingFrame, ...] = ()
    largest_frame: int = 0
    origin: Origin = field(default_factory=Origin)
    finite: Tensor | None = None
    recurrent: RecurrentState = field(default_factory=dict)
    latest: float | None = None

    @property
    def batch(self) -> int | None:
        """Videos of the stream; None before the first push."""
        if not self.layers:
            return None
        first = self.layers[0]
        return (first.valid if isinstance(first, PackedSlots) else first.index).shape[0]

    @property
    def videos(self) -> int | None:
        """Videos of the stream, those of raw frames that wait included; None before any."""
        return self.batch or (self.pending[0].videos if self.pending else None)

    def carried(self, model: VideoModel, batch: int) -> list[Slots]:
        """The carried slots of every layer; empty ones before the first push."""
        if self.layers:
            return [carried_slots(stored) for stored in self.layers]
        count = model.spec.num_layers
        return [empty_slots(model, batch, layer) for layer in range(count)]

    def carry(
        self,
        layers: Sequence[Slots],
        finite: Tensor | None = None,
        recurrent: RecurrentState | None = None,
    ) -> StreamState:
        """The state after a step left these slots; step-only tensors are let go. `finite` is a bool
        scalar, whether all steps so far computed with numbers only."""
        settled = tuple(pack(slots.settled()) for slots in layers)
        return replace(self, layers=settled, finite=finite, recurrent=recurrent or {})

    def counted_from(self, origin: Origin) -> StreamState:
        """The state with another origin: carried keys read as rotated that much further on."""
        by = origin.now - self.origin.now
        if by == 0:
            return self
        layers = tuple(_rotated_further(stored, by) for stored in self.layers)
        return replace(self, layers=layers, origin=origin)

    @property
    def bytes_held(self) -> int:
        """Bytes held for later frames: slots, statistics, states of layers without KV, the last
        frame; not `pending_bytes`."""
        own = (value for name, value in self.tensors() if not name.startswith(PENDING))
        return held_bytes(own) + self.archived_bytes

    @property
    def archived_bytes(self) -> int:
        """Those of `bytes_held` that lie in the archive and are held there, once for both."""
        return sum(_archived_bytes(stored) for stored in self.layers)

    @property
    def layer_bytes(self) -> list[int]:
        """Those of `bytes_held` that each layer's slots take."""
        return [
            held_bytes(value for _, value in own_part(stored).tensors()) + _archived_bytes(stored)
            for stored in self.layers
        ]

    @property
    def pending_bytes(self) -> int:
        """Bytes of raw frames that wait to be encoded."""
        return held_bytes(pending.image for pending in self.pending)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor by name, but for keys and values that lie in the archive."""
        held: dict[str, Slots | PackedSlots | FrameTokens] = {
            f"layer.{number}": own_part(stored) for number, stored in enumerate(self.layers)
        }
        if self.previous is not None:
            held["previous"] = self.previous
        for prefix, owner in held.items():
            for name, value in owner.tensors():
                yield f"{prefix}.{name}", value
        for name, value in self.recurrent.items():
            yield f"recurrent.{name}", value
        for name, value in self.admission.items():
            yield f"admission.{name}", value
        for number, pending in enumerate(self.pending):
            yield f"{PENDING}{number}", pending.image


def carried_slots(stored: Slots | PackedSlots) -> Slots:
    """The slots as a step sees them. What it unpacks of the archive is not kept for the next."""
    return stored.twin() if isinstance(stored, ArchivedSlots) else unpack(stored)


def own_part(stored: Slots | PackedSlots) -> Slots | PackedSlots:
    """The slots without what lies in the archive."""
    return stored.known() if isinstance(stored, ArchivedSlots) else stored


def _archived_bytes(stored: Slots | PackedSlots) -> int:
    return stored.archived_bytes if isinstance(stored, ArchivedSlots) else 0


def _rotated_further(stored: Slots | PackedSlots, by: int) -> Slots | PackedSlots:
    if isinstance(stored, PackedSlots):
        packed = stored.packed
        assert packed.rotated is not None  # filled by __post_init__
        return replace(stored, packed=replace(packed, rotated=packed.rotated + by))
    assert stored.rotated is not None
    if isinstance(stored, ArchivedSlots):
        twin = stored.twin()
        twin.rotated = stored.rotated + by
        return twin
    # No slots stay unmoved, so that they cost no rotation.
    return replace(stored, rotated=stored.rotated + by) if stored.num_slots else stored


def empty_slots(model: VideoModel, batch: int, layer: int) -> Slots:
    """No slots, in the shapes of the model."""
    spec = model.spec
    like = {"dtype": model.dtype, "device": model.device}
    rows = torch.zeros(batch, spec.num_kv_heads, 0, spec.head_dim, **like)
    none = torch.zeros(batch, 0, dtype=torch.int64, device=model.device)
    columns = {"index": none, "frame": none, "visual": none.bool()}
    columns["positions"] = none.expand(model.position_axes, -1, -1)
    return token_slots(rows, rows, columns, layer, spec.num_layers)
