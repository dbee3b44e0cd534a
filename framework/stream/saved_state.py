"""What changes in a session as named tensors and plain facts, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from torch import Tensor

from ..archives.growing import GrowingTensor
from ..archives.storage import ArchiveStorage
from ..frame_tokens import Cursor, FrameTokens
from ..model import VideoModel
from ..ragged import PackedSlots
from ..slots import Slots
from .origin import Origin
from .state import PendingFrame, StreamState

LAYERS, COLUMNS = "archive.", "column."
SLOT_TENSORS = ("keys", "values", "index", "frame", "visual", "positions")
FRAME_TENSORS = ("embeds", "positions", "visual", "offsets")
# Fields of `StreamState` that hold tensors, each saved in its own way (`finite` not at all: only
# what is finite is saved); the others are plain.
_WITH_TENSORS = ("layers", "admission", "previous", "pending", "finite")
PLAIN = tuple(part.name for part in fields(StreamState) if part.name not in _WITH_TENSORS)


def state_facts(state: StreamState) -> dict[str, Any]:
    """What of a state is no tensor, as plain data."""
    plain = {name: getattr(state, name) for name in PLAIN}
    return {
        **plain,
        "cursor": asdict(state.cursor),
        "origin": asdict(state.origin),
        "pending": [pending.timestamp for pending in state.pending],
        "layers": [
            {"layer": _slots_of(stored).layer, "num_layers": _slots_of(stored).num_layers}
            for stored in state.layers
        ],
        "previous": None
        if state.previous is None
        else {
            "timestamp": state.previous.timestamp,
            "next_position": state.previous.next_position,
        },
    }


def state_tensors(state: StreamState) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a state by name."""
    for number, stored in enumerate(state.layers):
        yield from _layer_tensors(f"layer.{number}", stored)
    for name, value in state.admission.items():
        yield f"admission.{name}", value
    for number, pending in enumerate(state.pending):
        yield f"pending.{number}", pending.image
    if state.previous is not None:
        yield from _frame_tensors("previous", state.previous)


def archive_tensors(archive: ArchiveStorage) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of an archive by name, without a copy."""
    for name, growing in archive.columns.items():
        yield COLUMNS + name, growing.view()
    for number, layer in enumerate(archive.layers):
        for name, growing in layer.items():
            yield f"{LAYERS}{number}.{name}", growing.view()


def state_of(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StreamState:
    """The state again; a plain field that the file does not know has its default."""
    plain = {name: facts[name] for name in PLAIN if name in facts}
    previous = facts["previous"]
    return StreamState(
        **{
            **plain,
            "cursor": Cursor(**facts["cursor"]),
            "origin": Origin(**facts.get("origin", {})),
        },
        layers=tuple(
            _layer(below(f"layer.{number}.", tensors), info)
            for number, info in enumerate(facts["layers"])
        ),
        admission=below("admission.", tensors),
        previous=None if previous is None else _frame(below("previous.", tensors), previous),
        pending=tuple(
            PendingFrame(tensors[f"pending.{number}"], time)
            for number, time in enumerate(facts["pending"])
        ),
    )


def fill_archive(archive: ArchiveStorage, tensors: Mapping[str, Tensor], model: VideoModel) -> None:
    """Packed tensors as they were saved, copied once to where the archive keeps them."""
    for name, column in below(COLUMNS, tensors).items():
        own = column.to(model.device)
        archive.columns[name] = GrowingTensor(own, -1)
        archive.columns[name].append(own)
    for name, packed in below(LAYERS, tensors).items():
        number, _, part = name.partition(".")
        example = packed.narrow(2, 0, 0).to(model.device)
        archive.layers[int(number)][part] = growing = GrowingTensor(example, 2, archive.codec.room)
        growing.append(packed)


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _slots_of(stored: Slots | PackedSlots) -> Slots:
    """The stored tensors of a layer, padded or packed."""
    return stored.packed if isinstance(stored, PackedSlots) else stored


def _layer_tensors(prefix: str, stored: Slots | PackedSlots) -> Iterator[tuple[str, Tensor]]:
    slots = _slots_of(stored)
    if isinstance(stored, PackedSlots):
        yield f"{prefix}.valid", stored.valid
    for name in SLOT_TENSORS:
        yield f"{prefix}.{name}", getattr(slots, name)
    if slots.moved and slots.rotated is not None:
        yield f"{prefix}.rotated", slots.rotated
    for kind, named in (("stats", slots.stats), ("state", slots.state)):
        for name, value in named.items():
            yield f"{prefix}.{kind}.{name}", value


def _frame_tensors(prefix: str, frame: FrameTokens) -> Iterator[tuple[str, Tensor]]:
    for name in FRAME_TENSORS:
        value = getattr(frame, name)
        if value is not None:
            yield f"{prefix}.{name}", value
    for kind, named in (("extras", frame.extras), ("stats", frame.stats)):
        for name, value in named.items():
            yield f"{prefix}.{kind}.{name}", value


def _layer(tensors: dict[str, Tensor], info: Mapping[str, Any]) -> Slots | PackedSlots:
    slots = Slots(
        **{name: tensors[name] for name in SLOT_TENSORS},
        rotated=tensors.get("rotated"),
        stats=below("stats.", tensors),
        state=below("state.", tensors),
        **info,
    )
    return PackedSlots(slots, tensors["valid"]) if "valid" in tensors else slots


def _frame(tensors: dict[str, Tensor], info: Mapping[str, Any]) -> FrameTokens:
    plain: dict[str, Any] = {name: tensors[name] for name in FRAME_TENSORS if name in tensors}
    return FrameTokens(
        **plain,
        extras=below("extras.", tensors),
        stats=below("stats.", tensors),
        **info,
    )
