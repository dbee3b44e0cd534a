"""Isolated frames carry nothing and archive everything."""

from __future__ import annotations

from crossframe.methods import IsolatedFramesMemory


def test_nothing_is_carried_and_all_is_archived(frames, open_session) -> None:
    session = open_session(IsolatedFramesMemory())
    session.push(frames(2, 3, 4))
    assert [session.slots(layer).num_slots for layer in range(2)] == [0, 0]
    assert session.archive.num_tokens == 9
