"""One call at a time: a session, or a model, belongs to the call that came first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from weakref import ref

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Turn:
    """One call.

    Attributes:
        over: set at its end; a turn that nobody holds any more is over as well, so that one whose
            end was interrupted locks nobody out for good.
    """

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.over = False


class Turns:
    """Lets in one call at a time, and refuses the others instead of letting them wait.

    There is no lock that an interrupt could leave locked: a call adds itself to a list, in one
    step, and has the turn if no earlier one of the list is still going on.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._taken: list[ref[Turn]] = []

    def take(self, turn: Turn) -> None:
        """Let the call in; its end is `turn.over = True`.

        Raises:
            RuntimeError: if another call is going on, in this thread or another.
        """
        entry = ref(turn)
        self._taken.append(entry)
        first = self._first()
        if first is not turn:
            turn.over = True
            self._strike(entry)
            raise RuntimeError(self._refusal(first))

    def _first(self) -> Turn | None:
        """The earliest call that is going on; those before it are struck off."""
        for entry in list(self._taken):
            turn = entry()
            if turn is not None and not turn.over:
                return turn
            self._strike(entry)
        return None

    def _strike(self, entry: ref[Turn]) -> None:
        with suppress(ValueError):  # another thread was first
            self._taken.remove(entry)

    def _refusal(self, first: Turn | None) -> str:
        if first is not None and first.thread == threading.get_ident():
            where, remedy = "another call of this thread", "wait until it has returned"
        else:
            where, remedy = "another thread", "give each thread its own, or let them take turns"
        return f"{self.what} is being used by {where}: {remedy}"


class Taken(Protocol):
    """What is used by one call at a time."""

    _turns: Turns


Owner = TypeVar("Owner", bound=Taken)


def in_turn(
    method: Callable[Concatenate[Owner, Arguments], Result],
) -> Callable[Concatenate[Owner, Arguments], Result]:
    """A method that has its object to itself; raises as `Turns.take`."""

    @wraps(method)
    def alone(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        turn = Turn()
        try:
            self._turns.take(turn)
            return method(self, *args, **kwargs)
        finally:
            turn.over = True

    return alone
