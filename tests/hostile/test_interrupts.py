"""Ctrl-C at every line of a push and of a question."""

from collections.abc import Sequence

import pytest

from .interrupts import CALLS, Moment, scene

TWICE = {"loans.py", "turns.py", "session.py"}  # where it matters how often a line has run

PARTS = 4  # of a call's moments, so that no test takes long


def chosen(moments: Sequence[Moment]) -> list[Moment]:
    """Each line for the first time, and for the last where that may differ."""
    last = {moment[:3]: moment for moment in moments if moment[0] in TWICE}
    return [moment for moment in moments if moment[3] == 1 or last.get(moment[:3]) == moment]


def interrupt_each(name: str, moments: Sequence[Moment]) -> None:
    witness = scene(name)[0]
    print(f"{name}: {len(moments)} moments")
    for at in moments:
        witness.require_untouched(witness.scene.interrupted(at), f"{name}, interrupted at {at}")


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_any_line_changes_nothing(name: str, part: int) -> None:
    moments = chosen(scene(name)[1])
    assert len(moments) > 200, "the call was not watched"
    interrupt_each(name, moments[part::PARTS])


@pytest.mark.soak
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_any_moment_changes_nothing(name: str) -> None:
    interrupt_each(name, scene(name)[1])
