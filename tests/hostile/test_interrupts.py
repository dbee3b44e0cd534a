"""Ctrl-C at lines of a push and of a question; at every one of them in `make soak`."""

from collections.abc import Sequence

import pytest

from .interrupts import CALLS, Moment, scene

TWICE = {"loans.py", "turns.py", "session.py"}  # where it matters how often a line has run

EVERY = 6  # of other lines one so many is tried, and all of them by `make soak`


def chosen(moments: Sequence[Moment]) -> list[Moment]:
    """Each line for the first time, and for the last where that may differ."""
    last = {moment[:3]: moment for moment in moments if moment[0] in TWICE}
    return [moment for moment in moments if moment[3] == 1 or last.get(moment[:3]) == moment]


def interrupt_each(name: str, moments: Sequence[Moment]) -> None:
    witness = scene(name)[0]
    print(f"{name}: {len(moments)} moments")
    for at in moments:
        witness.require_untouched(witness.scene.interrupted(at), f"{name}, interrupted at {at}")


@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_a_line_changes_nothing(name: str) -> None:
    moments = chosen(scene(name)[1])
    assert len(moments) > 200, "the call was not watched"
    careful = [moment for moment in moments if moment[0] in TWICE]
    others = [moment for moment in moments if moment[0] not in TWICE]
    interrupt_each(name, [*careful, *others[::EVERY]])


@pytest.mark.soak
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_any_moment_changes_nothing(name: str) -> None:
    interrupt_each(name, scene(name)[1])
