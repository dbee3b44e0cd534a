"""Ctrl-C at every line of a push and of a question."""

import pytest

from .interrupts import CALLS, Moment, scene

TWICE = {"loans.py", "turns.py", "session.py"}  # where it matters how often a line has run

PARTS = 4  # of a call's moments, so that no test takes long


def chosen(moments: list[Moment]) -> list[int]:
    """Where each moment comes for the first time, and for the last where that may differ."""
    first = {moment: len(moments) - 1 - n for n, moment in enumerate(reversed(moments))}
    last = {moment: number for number, moment in enumerate(moments) if moment[0] in TWICE}
    return sorted({*first.values(), *last.values()})


def interrupt_each(name: str, places: list[int]) -> None:
    witness, moments = scene(name)
    print(f"{name}: {len(places)} of {len(moments)} moments")
    for at in places:
        session, where = witness.scene.interrupted(at)
        witness.require_untouched(session, f"{name}, moment {at}: {where}")


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_any_line_changes_nothing(name: str, part: int) -> None:
    places = chosen(list(scene(name)[1]))
    assert len(places) > 200, "the call was not watched"
    interrupt_each(name, places[part::PARTS])


@pytest.mark.soak
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_any_moment_changes_nothing(name: str) -> None:
    interrupt_each(name, list(range(len(scene(name)[1]))))
