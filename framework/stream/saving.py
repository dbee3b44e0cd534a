"""A whole session in one safetensors file, written at once or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ..archives.codec import Archive
from ..archives.reader import Reader
from ..as_data import describe, rebuild, require_description, require_trusted
from ..files.tensor_file import TensorFile, read_tensors, write_tensors
from ..files.whole_file import whole_file
from ..memory import CrossFrameMemory, FullMemory
from ..model import VideoModel
from .checks import DeferredChecks
from .saved_checks import check_forms, require, require_packed_by
from .saved_state import (
    COLUMNS,
    LAYERS,
    archive_tensors,
    below,
    fill_archive,
    state_facts,
    state_of,
)
from .session_view import SessionView
from .verify import check_layers

FORMAT = 2  # 1 had no checksum, and named classes by the modules that held them
SETTINGS = ("in_frame", "frames_per_step", "max_tokens", "attention")
RULES = {"memory": CrossFrameMemory, "archive": Archive, "reader": Reader}
Session = TypeVar("Session", bound=SessionView)
# What facts and tensors of other forms than were written make Python and torch raise.
_FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)


def save_session(session: SessionView, path: str | Path) -> None:
    """Write the session: slots, archive, pending frames, settings; replaces `path` at the end.

    The archive is read where it lies, once, and never held a second time.

    Raises:
        ValueError: if a setting of the memory, reader or archive is not plain data, or `path` can
            be no file.
        OSError: naming `path`, if the disk takes no more.
    """
    session.check()
    facts = {
        "format": FORMAT,
        "model": asdict(session.model.spec),
        "memory": describe(session.memory),
        "archive": describe(session.archive.codec),
        "reader": describe(session.reader),
        "settings": {name: getattr(session, name) for name in SETTINGS},
        **state_facts(session.state),
    }
    tensors = dict(session.state.tensors()) | dict(archive_tensors(session.archive))
    with whole_file(path) as file:
        write_tensors(file, json.dumps(facts), tensors)


def load_session(
    open_session: Callable[..., Session],
    path: str | Path,
    model: VideoModel,
    memory: CrossFrameMemory | None,
    reader: Reader | None,
    archive: Archive | None,
    trusted: Sequence[type] = (),
) -> Session:
    """The saved session on `model`, opened by its class.

    Damage is found by the checksum, before anything of the file is used. Files of the first version
    have none, and somebody may have made one anew: so tensors must have the forms that sessions of
    this model have, and the carried slots keep their memory's promises.

    Raises:
        ValueError: if the file is no session or a damaged one, was made with another model, or
            names a class that is neither public in crossframe nor trusted.
    """
    require_trusted(trusted)
    file = read_tensors(path)
    facts = _facts(file, model)
    given = {"memory": memory, "archive": archive, "reader": reader}
    with _naming(path):
        rules: dict[str, Any] = {
            name: rebuild(facts[name], kind, trusted) if given[name] is None else given[name]
            for name, kind in RULES.items()
        }
        session = open_session(model, **rules, **{n: facts["settings"][n] for n in SETTINGS})
        require_packed_by(session.archive.codec, below(LAYERS, file.tensors), model)
    with _naming(path, damaged=True):
        # Still the file's own pages.
        state = state_of(facts, file.tensors)
        check_forms(state, file.tensors, session.archive.codec, model)
        # What another memory left need not keep the promises of the one that goes on.
        promised = session.memory if memory is None else FullMemory()
        layers = state.carried(model, state.batch or 1)
        planned = max(session.max_tokens, state.cursor.tokens)
        check_layers(promised, layers, len(layers), state, DeferredChecks(), planned)
    fill_archive(session.archive, file.tensors, model)
    kept = {
        name: value.to(model.device, copy=True)
        for name, value in file.tensors.items()
        if not name.startswith((LAYERS, COLUMNS))
    }
    session.resume(state_of(facts, kept), session.archive)
    return session


def _facts(file: TensorFile, model: VideoModel) -> Mapping[str, Any]:
    """The header, found to be whole and this model's."""
    try:
        facts = json.loads(file.facts)
    except (ValueError, RecursionError):
        facts = None
    version = facts.get("format") if isinstance(facts, dict) else None
    if not isinstance(facts, dict) or type(version) is not int or version not in (1, FORMAT):
        raise ValueError(f"{file.path} is not a session saved by this version of crossframe")
    if facts.get("model") != asdict(model.spec):
        raise ValueError(
            f"{file.path} was saved with a decoder of {facts.get('model')!r:.200}, this model is "
            f"{asdict(model.spec)!r:.200}: load it with the model it was made with"
        )
    keys = file.tensors.get("layer.0.keys")
    if keys is not None and keys.dtype != model.dtype:
        raise ValueError(
            f"{file.path} was saved with a model in {keys.dtype}, this one is in {model.dtype}: "
            "load the model in that dtype"
        )
    with _naming(file.path, damaged=True):
        whole = version == 1 or file.is_whole()
        require(whole, "its content is not what its checksum was made of")
        for name in RULES:
            require_description(facts[name])
    return facts


@contextmanager
def _naming(path: str | Path, *, damaged: bool = False) -> Iterator[None]:
    """Say which file something is wrong with, and, if nothing else can be, that it is damaged."""
    try:
        yield
    except _FAULTS as error:
        reason = f"{' '.join(str(error).split()):.400}"
        if damaged:
            raise ValueError(
                f"{path} cannot be loaded, it is damaged or was changed: {reason}; load another "
                "copy of it"
            ) from error
        raise ValueError(f"{path}: {reason}") from error
