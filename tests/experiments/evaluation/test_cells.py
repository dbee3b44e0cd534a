"""A cell opens the session it describes."""

from __future__ import annotations

from crossframe.experiments.evaluation.cells import Cell
from crossframe.framework import Int8Archive
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import FullMemory, ReadLastFrames, StateKVMemory


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
