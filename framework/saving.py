"""A whole session in one safetensors file, written at once or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .archive import Archive
from .frame_tokens import Cursor, FrameTokens
from .growing import GrowingTensor
from .memory import CrossFrameMemory
from .model import VideoModel
from .ragged import PackedSlots
from .reader import Reader
from .rules import describe, rebuild
from .slots import Slots
from .state import PendingFrame, StreamState
from .storage import ArchiveStorage

if TYPE_CHECKING:
    from .session import VideoSession

FORMAT = 1
_SLOT_TENSORS = ("keys", "values", "index", "frame", "visual", "positions")
_FRAME_TENSORS = ("embeds", "positions", "visual", "offsets")
_LAYERS = "archive."


def save_session(session: VideoSession, path: str | Path) -> None:
    """Write the session: slots, archive, pending frames, settings; replaces `path` at the end.

    Raises:
        ValueError: if a setting of the memory, reader or archive is not plain data.
    """
    from safetensors.torch import save_file

    session.check()
    # Views of larger storage, and views that share one, have to be copied to be written; a copy of
    # the archive lies where the archive does, so that one on disk is never held in memory.
    tensors = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in _state_tensors(session)
    }
    room = session.archive.codec.room
    for name, value in _archive_tensors(session.archive):
        tensors[name] = room(value, value.shape).copy_(value)
    header = json.dumps(_header(session))
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    try:
        save_file(tensors, partial, metadata={"crossframe": header})
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def load_session(
    path: str | Path,
    model: VideoModel,
    memory: CrossFrameMemory | None,
    reader: Reader | None,
    archive: Archive | None,
) -> VideoSession:
    """The saved session on `model`.

    Raises:
        ValueError: if the file is no session, or was made with another model.
    """
    from safetensors import SafetensorError, safe_open

    from .session import VideoSession

    if not Path(path).is_file():
        raise ValueError(f"no saved session at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("crossframe", "null"))
            # Pages of the file, read when they are touched.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file ({error})") from error
    _require_fit(path, header, model)
    session = VideoSession(
        model,
        memory if memory is not None else rebuild(header["memory"], CrossFrameMemory),
        archive=archive if archive is not None else rebuild(header["archive"], Archive),
        reader=reader if reader is not None else rebuild(header["reader"], Reader),
        **header["settings"],
    )
    layers = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_LAYERS)}
    own = {name: value.to(model.device, copy=True) for name, value in tensors.items()}
    _fill_layers(session.archive, _below(_LAYERS, layers), model)
    _fill_columns(session.archive, _below("column.", own))
    session.resume(_state(header, own), session.archive)
    return session


def _header(session: VideoSession) -> dict[str, Any]:
    state = session.state
    return {
        "format": FORMAT,
        "model": asdict(session.model.spec),
        "memory": describe(session.memory),
        "archive": describe(session.archive.codec),
        "reader": describe(session.reader),
        "settings": {
            name: getattr(session, name)
            for name in ("in_frame", "frames_per_step", "max_tokens", "attention")
        },
        "cursor": asdict(state.cursor),
        "largest_frame": state.largest_frame,
        "pending": [pending.timestamp for pending in state.pending],
        "layers": [
            {"layer": _slots_of(stored).layer, "num_layers": _slots_of(stored).num_layers}
            for stored in state.layers
        ],
        "previous": None if state.previous is None else _frame_facts(state.previous),
    }


def _state_tensors(session: VideoSession) -> Iterator[tuple[str, Tensor]]:
    state = session.state
    for number, stored in enumerate(state.layers):
        yield from _layer_tensors(f"layer.{number}", stored)
    for name, value in state.admission.items():
        yield f"admission.{name}", value
    for number, pending in enumerate(state.pending):
        yield f"pending.{number}", pending.image
    if state.previous is not None:
        yield from _frame_tensors("previous", state.previous)
    for name, growing in session.archive.columns.items():
        yield f"column.{name}", growing.view()


def _archive_tensors(archive: ArchiveStorage) -> Iterator[tuple[str, Tensor]]:
    for number, layer in enumerate(archive.layers):
        for name, growing in layer.items():
            yield f"{_LAYERS}{number}.{name}", growing.view()


def _layer_tensors(prefix: str, stored: Slots | PackedSlots) -> Iterator[tuple[str, Tensor]]:
    slots = _slots_of(stored)
    if isinstance(stored, PackedSlots):
        yield f"{prefix}.valid", stored.valid
    for name in _SLOT_TENSORS:
        yield f"{prefix}.{name}", getattr(slots, name)
    if slots.moved and slots.rotated is not None:
        yield f"{prefix}.rotated", slots.rotated
    for kind, named in (("stats", slots.stats), ("state", slots.state)):
        for name, value in named.items():
            yield f"{prefix}.{kind}.{name}", value


def _frame_tensors(prefix: str, frame: FrameTokens) -> Iterator[tuple[str, Tensor]]:
    for name in _FRAME_TENSORS:
        value = getattr(frame, name)
        if value is not None:
            yield f"{prefix}.{name}", value
    for kind, named in (("extras", frame.extras), ("stats", frame.stats)):
        for name, value in named.items():
            yield f"{prefix}.{kind}.{name}", value


def _state(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StreamState:
    previous = header["previous"]
    return StreamState(
        cursor=Cursor(**header["cursor"]),
        layers=tuple(
            _layer(_below(f"layer.{number}.", tensors), info)
            for number, info in enumerate(header["layers"])
        ),
        admission=_below("admission.", tensors),
        previous=None if previous is None else _frame(_below("previous.", tensors), previous),
        pending=tuple(
            PendingFrame(tensors[f"pending.{number}"], time)
            for number, time in enumerate(header["pending"])
        ),
        largest_frame=header["largest_frame"],
    )


def _layer(tensors: dict[str, Tensor], info: Mapping[str, Any]) -> Slots | PackedSlots:
    slots = Slots(
        **{name: tensors[name] for name in _SLOT_TENSORS},
        rotated=tensors.get("rotated"),
        stats=_below("stats.", tensors),
        state=_below("state.", tensors),
        **info,
    )
    return PackedSlots(slots, tensors["valid"]) if "valid" in tensors else slots


def _frame(tensors: dict[str, Tensor], info: Mapping[str, Any]) -> FrameTokens:
    plain: dict[str, Any] = {name: tensors[name] for name in _FRAME_TENSORS if name in tensors}
    return FrameTokens(
        **plain,
        extras=_below("extras.", tensors),
        stats=_below("stats.", tensors),
        **info,
    )


def _frame_facts(frame: FrameTokens) -> dict[str, Any]:
    return {"timestamp": frame.timestamp, "next_position": frame.next_position}


def _fill_columns(archive: ArchiveStorage, columns: Mapping[str, Tensor]) -> None:
    for name, column in columns.items():
        archive.columns[name] = GrowingTensor(column, -1)
        archive.columns[name].append(column)


def _fill_layers(archive: ArchiveStorage, layers: Mapping[str, Tensor], model: VideoModel) -> None:
    """Packed tensors as they were saved, moved only to where the archive keeps them."""
    for name, packed in layers.items():
        number, _, part = name.partition(".")
        example = packed.narrow(2, 0, 0).to(model.device)
        archive.layers[int(number)][part] = growing = GrowingTensor(example, 2, archive.codec.room)
        growing.append(packed)
    for stored in archive.layers:
        _require_packed_by(archive.codec, {n: g.view() for n, g in stored.items()}, model)


def _require_packed_by(codec: Archive, stored: Mapping[str, Tensor], model: VideoModel) -> None:
    """Refuse what another codec packed: it would be unpacked into nonsense."""
    spec = model.spec
    token = torch.zeros(1, spec.num_kv_heads, 1, spec.head_dim, dtype=model.dtype)

    def form(packed: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, torch.Size]]:
        return {name: (value.dtype, value.shape[3:]) for name, value in packed.items()}

    packs, found = form(codec.pack(token, token)), form(stored)
    if stored and found != packs:
        raise ValueError(
            f"the archive was saved as {found}, but {codec!r} packs {packs}: load it with an "
            "archive that packs as the saved one did"
        )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _slots_of(stored: Slots | PackedSlots) -> Slots:
    return stored.packed if isinstance(stored, PackedSlots) else stored


def _require_fit(path: str | Path, header: Mapping[str, Any] | None, model: VideoModel) -> None:
    if header is None or header.get("format") != FORMAT:
        raise ValueError(f"{path} is not a session saved by this version of crossframe")
    if header["model"] != asdict(model.spec):
        raise ValueError(
            f"{path} was saved with a decoder of {header['model']}, this model is "
            f"{asdict(model.spec)}: load it with the model it was made with"
        )
