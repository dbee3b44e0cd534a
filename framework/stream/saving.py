"""A whole session in one safetensors file, written at once or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..archives.codec import Archive
from ..archives.reader import Reader
from ..as_data import rebuild, require_trusted
from ..files.tensor_file import TensorFile, read_tensors, write_tensors
from ..files.whole_file import whole_file
from ..memory import CrossFrameMemory, FullMemory
from ..model import VideoModel
from .checks import DeferredChecks
from .saved_checks import (
    check_archive,
    check_carried,
    check_frames,
    check_tensors,
    require_packed_by,
)
from .saved_facts import SETTINGS, check_facts, facts_of, model_facts, parse_facts, require
from .saved_state import (
    COLUMNS,
    LAYERS,
    archive_tensors,
    below,
    fill_archive,
    in_archive,
    names_held_twice,
    state_of,
    state_tensors,
)
from .session_view import SessionView
from .state import StreamState
from .verify import check_layers, check_stream

Session = TypeVar("Session", bound=SessionView)


def save_session(session: SessionView, path: str | Path) -> None:
    """Write the session: slots, archive, pending frames, settings; replaces `path` at the end.

    The archive is read where it lies, once, and never held a second time.

    Raises:
        ValueError: if a setting of the memory, reader or archive is not plain data, or `path` can
            be no file.
        OSError: naming `path`, if the disk takes no more.
    """
    session.check()
    facts = json.dumps(facts_of(session))
    tensors = {**dict(state_tensors(session.state)), **dict(archive_tensors(session.archive))}
    with whole_file(path) as file:
        write_tensors(file, facts, tensors)


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

    Before anything of the file is used, its checksum is compared, and all that a session must
    satisfy is looked at: the checksum finds damage, the rest also what somebody changed who made
    the checksum anew. Files of the first version have no checksum.

    Raises:
        ValueError: if the file is no session or a damaged one, was made with another model, or
            names a class that is neither public in crossframe nor trusted.
    """
    require_trusted(trusted)
    file = read_tensors(path)
    facts = _facts(file, model)
    with _named_by(path):
        session = open_session(
            model,
            memory if memory is not None else _rebuilt(facts, "memory", CrossFrameMemory, trusted),
            archive=archive
            if archive is not None
            else _rebuilt(facts, "archive", Archive, trusted),
            reader=reader if reader is not None else _rebuilt(facts, "reader", Reader, trusted),
            **{name: facts["settings"][name] for name in SETTINGS},
        )
        require_packed_by(session.archive.codec, below(LAYERS, file.tensors), model)
    with _blamed_on(path):
        check_tensors(facts, file.tensors, model, session.archive.codec)
        # Still the file's own pages.
        state = state_of(facts, file.tensors)
        columns = below(COLUMNS, file.tensors)
        check_archive(state, columns)
        check_frames(state)
        _check_promises(session, state, as_saved=memory is None)
        if memory is None and not session.memory.merges:
            check_carried(state, columns)
    fill_archive(session.archive, file.tensors, model)
    twice = names_held_twice(state, session.archive.codec, file.tensors)
    kept = {
        name: value.new_empty(*value.shape[:3], 0) if name in twice else value
        for name, value in file.tensors.items()
        if not name.startswith((LAYERS, COLUMNS))
    }
    kept = {name: value.to(model.device, copy=True) for name, value in kept.items()}
    session.resume(in_archive(state_of(facts, kept), session.archive), session.archive)
    return session


def _facts(file: TensorFile, model: VideoModel) -> Mapping[str, Any]:
    """The header, found to be whole and this model's."""
    facts = parse_facts(file.facts)
    if facts is None:
        raise ValueError(f"{file.path} is not a session saved by this version of crossframe")
    own = model_facts(model.spec)
    if facts.get("model") != own:
        raise ValueError(
            f"{file.path} was saved with a decoder of {facts.get('model')!r:.200}, this model is "
            f"{own!r:.200}: load it with the model it was made with"
        )
    placed = file.tensors.get("layer.0.positions")  # models of equal sizes may place tokens apart
    if placed is not None and placed.dim() == 4 and len(placed) != model.position_axes:
        raise ValueError(
            f"{file.path} was saved by a model that gives a token {len(placed)} positions, "
            f"this one gives {model.position_axes}: load it with the model it was made with"
        )
    with _blamed_on(file.path):
        if facts["format"] > 1 and not file.is_whole():
            raise ValueError("its content is not what its checksum was made of")
        check_facts(facts, model)
    return facts


def _rebuilt(facts: Mapping[str, Any], name: str, kind: type, trusted: Sequence[type]) -> Any:
    try:
        return rebuild(facts[name], kind, trusted)
    except RecursionError as error:
        raise ValueError(f"the saved {name} nests too deep: pass it yourself") from error


def _check_promises(session: SessionView, state: StreamState, as_saved: bool) -> None:
    """Refuse slots that break the contract, and by the memory that made them its own promises."""
    if not state.layers:
        return
    memory = session.memory if as_saved else FullMemory()
    planned = session.max_tokens if as_saved else max(session.max_tokens, state.cursor.tokens)
    checks = DeferredChecks()
    layers = state.carried(session.model, state.batch or 1)
    check_layers(memory, layers, len(layers), state, checks, planned)
    checks.raise_failed()
    check_stream(memory, state, planned)
    if as_saved:
        whole = state.previous is None
        frames = state.cursor.frames
        require(
            whole == (memory.admits_whole or frames == 0),
            f"it was saved {'without' if whole else 'with'} a last frame, which does not go with "
            f"{type(memory).__name__} after {frames} frames",
        )


@contextmanager
def _named_by(path: str | Path) -> Iterator[None]:
    """Say which file something is wrong with."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@contextmanager
def _blamed_on(path: str | Path) -> Iterator[None]:
    """Say of what a check finds that the file is at fault."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be loaded, it is damaged or was changed: {error!s:.400}; load another "
            "copy of it"
        ) from error
