"""A whole session in one safetensors file, written at once or not at all."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from .archive import Archive
from .frame_tokens import Cursor, FrameTokens
from .growing import GrowingTensor
from .memory import CrossFrameMemory
from .model import VideoModel
from .ragged import PackedSlots
from .reader import Reader
from .slots import Slots
from .state import PendingFrame, StreamState
from .storage import ArchiveStorage

if TYPE_CHECKING:
    from .session import VideoSession

Kind = TypeVar("Kind")
FORMAT = 1
_SLOT_TENSORS = ("keys", "values", "index", "frame", "visual", "positions")
_FRAME_TENSORS = ("embeds", "positions", "visual", "offsets")


def save_session(session: VideoSession, path: str | Path) -> None:
    """Write the session: slots, archive, pending frames, settings; replaces `path` at the end.

    Raises:
        ValueError: if a setting of the memory, reader or archive is not plain data.
    """
    from safetensors.torch import save_file

    session.check()
    # Views of larger storage, and views that share one, have to be copied to be written.
    tensors = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in _tensors(session)
    }
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
        with safe_open(path, framework="pt", device=str(model.device)) as file:
            header = json.loads((file.metadata() or {}).get("crossframe", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file ({error})") from error
    _require_fit(path, header, model)
    session = VideoSession(
        model,
        memory if memory is not None else _rebuild(header["memory"], CrossFrameMemory),
        archive=archive if archive is not None else _rebuild(header["archive"], Archive),
        reader=reader if reader is not None else _rebuild(header["reader"], Reader),
        **header["settings"],
    )
    session.resume(_state(header, tensors), _archive(session.archive, tensors))
    return session


def _header(session: VideoSession) -> dict[str, Any]:
    state = session.state
    return {
        "format": FORMAT,
        "model": asdict(session.model.spec),
        "memory": _describe(session.memory),
        "archive": _describe(session.archive.codec),
        "reader": _describe(session.reader),
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


def _tensors(session: VideoSession) -> Iterator[tuple[str, Tensor]]:
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
    for number, layer in enumerate(session.archive.layers):
        for name, growing in layer.items():
            yield f"archive.{number}.{name}", growing.view()


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


def _archive(archive: ArchiveStorage, tensors: Mapping[str, Tensor]) -> ArchiveStorage:
    """The empty archive filled with what was saved."""
    for name, column in _below("column.", tensors).items():
        archive.columns[name] = GrowingTensor(column, -1)
        archive.columns[name].append(column)
    for name, packed in _below("archive.", tensors).items():
        number, _, part = name.partition(".")
        archive.layers[int(number)][part] = growing = GrowingTensor(packed, 2)
        growing.append(packed)
    return archive


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _slots_of(stored: Slots | PackedSlots) -> Slots:
    return stored.packed if isinstance(stored, PackedSlots) else stored


def _describe(rule: object) -> dict[str, Any]:
    """Class and settings of a rule, as plain data."""
    cls = type(rule)
    return {"class": f"{cls.__module__}:{cls.__qualname__}", "settings": _settings(rule)}


def _settings(rule: object) -> dict[str, Any] | None:
    """Fields of a dataclass; None for another class with attributes: its arguments are unknown."""
    if not is_dataclass(rule):
        return None if vars(rule) else {}
    settings: dict[str, Any] = {}
    for setting in fields(rule):
        value = getattr(rule, setting.name)
        nested = _is_rule(type(value))
        settings[setting.name] = _describe(value) if nested else value
        _require_plain(type(rule), setting.name, settings[setting.name])
    return settings


def _is_rule(cls: type) -> bool:
    """Whether a setting of this class is described by its own settings."""
    return is_dataclass(cls) or issubclass(cls, CrossFrameMemory | Archive | Reader)


def _require_plain(cls: type, name: str, value: object) -> None:
    try:
        json.dumps(value)
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__}.{name} = {value!r} cannot be saved: settings must be numbers, text, "
            "booleans, lists or nested memories"
        ) from error


def _rebuild(description: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """The rule again; its class is imported by name and must be of the expected kind."""
    module, _, name = description["class"].partition(":")
    try:
        cls: Any = importlib.import_module(module)
        for part in name.split("."):
            cls = getattr(cls, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"the session was saved with {description['class']}, which cannot be imported here: "
            f"pass the {kind.__name__} yourself"
        ) from error
    # The file may come from elsewhere: nothing but a rule is called with what it says.
    if not (isinstance(cls, type) and issubclass(cls, kind) and _is_rule(cls)):
        raise ValueError(f"{description['class']} is not a {kind.__name__} that can be rebuilt")
    if description["settings"] is None:
        raise ValueError(
            f"the session was saved with {description['class']}, which is no dataclass, so its "
            f"settings are not in the file: pass the {kind.__name__} yourself"
        )
    settings = {
        name: _rebuild(value, object) if isinstance(value, dict) and "class" in value else value
        for name, value in description["settings"].items()
    }
    return cls(**settings)


def _require_fit(path: str | Path, header: Mapping[str, Any] | None, model: VideoModel) -> None:
    if header is None or header.get("format") != FORMAT:
        raise ValueError(f"{path} is not a session saved by this version of crossframe")
    if header["model"] != asdict(model.spec):
        raise ValueError(
            f"{path} was saved with a decoder of {header['model']}, this model is "
            f"{asdict(model.spec)}: load it with the model it was made with"
        )
