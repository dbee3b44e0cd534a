"""A cell opens the session it describes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import StreamOptions
from crossframe.framework import CrossFrameMemory, Int8Archive
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    FullMemory,
    IsolatedFramesMemory,
    ProtectedSinks,
    ReadCarried,
    ReadLastFrames,
    StateKVMemory,
)


def test_every_setting_reaches_the_session() -> None:
    reader, model = ReadLastFrames(2), ReferenceDecoder()
    cell = Cell(FullMemory(), reader, Int8Archive(), 3, "bidirectional", "plain")
    session = cell.session(model, 500)
    assert session.model is model
    assert (session.memory, session.reader) == (FullMemory(), reader)
    assert session.archive.codec == Int8Archive()
    assert (session.frames_per_step, session.in_frame) == (3, "bidirectional")
    assert (session.max_tokens, session.attention) == (500, "plain")


def test_a_memory_is_enough() -> None:
    session = Cell(StateKVMemory(4)).session(ReferenceDecoder())
    assert session.max_tokens == session.model.trained_tokens
    assert (session.frames_per_step, session.in_frame) == (1, "causal")


@pytest.mark.parametrize(
    "make",
    [lambda: Cell(FullMemory(), attention="flash"), lambda: StreamOptions(attention="flash")],
)
def test_an_unknown_backend_of_attention_is_refused_before_any_model(
    make: Callable[[], object],
) -> None:
    with pytest.raises(ValueError, match=r"attention must be one of .*'chunked'.*, got 'flash'"):
        make()


@pytest.mark.parametrize("memory", [IsolatedFramesMemory(), StateKVMemory(0)], ids=repr)
def test_nothing_carried_and_nothing_else_read_is_refused(memory: CrossFrameMemory) -> None:
    told = re.escape(f"{memory!r} carries nothing, so ReadCarried() has nothing to read")
    with pytest.raises(ValueError, match=told):
        Cell(memory, ReadCarried()).session(ReferenceDecoder())
    Cell(memory, ReadLastFrames(1)).session(ReferenceDecoder())
    sinks = ProtectedSinks(IsolatedFramesMemory(), tokens=2)
    Cell(sinks, ReadCarried()).session(ReferenceDecoder())
