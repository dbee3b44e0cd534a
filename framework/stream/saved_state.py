"""What changes in a session as named tensors and plain facts, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..archives.archived_slots import KV, ArchivedSlots
from ..archives.codec import Archive
from ..archives.storage import ArchiveStorage
from ..files.tensor_file import InParts, Writable
from ..frame_tokens import Cursor, FrameTokens
from ..model import VideoModel
from ..ragged import PackedSlots
from ..slots import Slots
from .origin import Origin
from .state import PendingFrame, StreamState

LAYERS, COLUMNS = "archive.", "column."
# Fields of `StreamState` that hold tensors, each saved in its own way (`finite` not at all: only
# what is finite is saved); the others are plain.
_WITH_TENSORS = ("layers", "recurrent", "admission", "previous", "pending", "finite")
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
        else {"timestamp": state.previous.timestamp, "next_position": state.previous.next_position},
    }


def state_tensors(state: StreamState) -> Iterator[tuple[str, Writable]]:
    """Every tensor of a state by name, those that lie in the archive page by page."""
    yield from state.tensors()
    for number, stored in enumerate(state.layers):
        if isinstance(stored, ArchivedSlots):
            for name, parts in zip(KV, zip(*stored.pages(), strict=True), strict=True):
                yield f"layer.{number}.{name}", InParts(parts, 2)


def archive_tensors(archive: ArchiveStorage) -> Iterator[tuple[str, InParts]]:
    """Every tensor of an archive by name, page by page, without a copy."""
    for name, paged in archive.columns.items():
        yield COLUMNS + name, InParts(paged.parts(), paged.dim)
    for number, layer in enumerate(archive.layers):
        for name, paged in layer.items():
            yield f"{LAYERS}{number}.{name}", InParts(paged.parts(), paged.dim)


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
        recurrent=below("recurrent.", tensors),
        admission=below("admission.", tensors),
        previous=None if previous is None else _frame(below("previous.", tensors), previous),
        pending=tuple(
            PendingFrame(tensors[f"pending.{number}"], time)
            for number, time in enumerate(facts["pending"])
        ),
    )


def names_held_twice(
    state: StreamState, codec: Archive, tensors: Mapping[str, Tensor]
) -> frozenset[str]:
    """Keys and values of layers that carry all of the archive, as it is."""
    names = set[str]()
    for number, stored in enumerate(state.layers):
        archived = below(f"{LAYERS}{number}.", tensors)
        if not codec.as_they_are or isinstance(stored, PackedSlots) or not archived:
            continue
        index, archive = stored.index, tensors[f"{COLUMNS}index"][:, None]
        every = index.shape[-1] == archive.shape[-1] and bool((index == archive).all())
        if every and all(torch.equal(getattr(stored, name), archived[name]) for name in KV):
            names |= {f"layer.{number}.{name}" for name in KV}
    return frozenset(names)


def in_archive(state: StreamState, archive: ArchiveStorage) -> StreamState:
    """The state, whose layers without keys and values have those of the archive."""

    def placed(number: int, stored: Slots | PackedSlots) -> Slots | PackedSlots:
        if isinstance(stored, PackedSlots) or stored.keys.shape[-1]:
            return stored
        return archive.carried_layer(number, stored)

    layers = tuple(placed(number, stored) for number, stored in enumerate(state.layers))
    return replace(state, layers=layers)


def fill_archive(archive: ArchiveStorage, tensors: Mapping[str, Tensor], model: VideoModel) -> None:
    """Packed tensors as they were saved, copied once to where the archive keeps them."""
    columns = below(COLUMNS, tensors)
    if columns:
        archive.append_columns({name: part.to(model.device) for name, part in columns.items()})
    for number in range(len(archive.layers)):
        packed = below(f"{LAYERS}{number}.", tensors)
        if packed:
            archive.append_packed(number, packed, model.device)


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _slots_of(stored: Slots | PackedSlots) -> Slots:
    """The stored tensors of a layer, padded or packed."""
    return stored.packed if isinstance(stored, PackedSlots) else stored


def _layer(tensors: dict[str, Tensor], info: Mapping[str, Any]) -> Slots | PackedSlots:
    valid = tensors.pop("valid", None)
    slots = Slots(**_fields(tensors, "stats", "state"), **info)
    return slots if valid is None else PackedSlots(slots, valid)


def _frame(tensors: dict[str, Tensor], info: Mapping[str, Any]) -> FrameTokens:
    return FrameTokens(**_fields(tensors, "extras", "stats"), **info)


def _fields(tensors: dict[str, Tensor], *named: str) -> dict[str, Any]:
    """What `tensors_of` took apart."""
    alone = {name: value for name, value in tensors.items() if "." not in name}
    return {**alone, **{name: below(f"{name}.", tensors) for name in named}}
