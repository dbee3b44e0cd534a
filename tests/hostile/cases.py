"""Hostile input by seed: what a case is, and what counts as having survived it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

LONGEST = 600  # characters a refusal may have: one line that a person reads


def nothing() -> None:
    """The default of `untouched`: this case has nothing that could be changed."""


@dataclass(frozen=True)
class Case:
    """One hostile input, and what may come of it: it works, or it is refused in one line.

    Attributes:
        what: the input in a few words, shown when the case fails.
        act: the call that a user makes; returns what `right` looks at.
        right: asserts that what came back is right; None if the input must be refused.
        names: what the refusal says: the value and the remedy.
        untouched: asserts that the model, the session or the files are as they were before.
        errors: the exceptions that count as a refusal, themselves and not their subclasses.
    """

    what: str
    act: Callable[[], object]
    right: Callable[[object], None] | None = None
    names: tuple[str, ...] = ()
    untouched: Callable[[], None] = nothing
    errors: tuple[type[Exception], ...] = (ValueError,)


@dataclass(frozen=True)
class Family:
    """Hostile inputs of one kind.

    Attributes:
        draw: makes the case of one seed; the folder is empty and the case's own.
        count: cases in `make test`; `make soak` draws many more with fresh seeds.
    """

    name: str
    draw: Callable[[Random, Path], Case]
    count: int


def survive(case: Case) -> str:
    """Run a case: "works" or the words of its refusal; fails the test for anything else."""
    try:
        came_back = case.act()
    except Exception as error:  # noqa: BLE001 - the judge looks at whatever comes
        message = str(error)
        told = f"{case.what}: {type(error).__name__}: {message}"
        assert type(error) in case.errors, f"a bare {told}"
        assert message and "\n" not in message, f"not one line: {told}"
        assert len(message) <= LONGEST, f"{len(message)} characters: {told}"
        missing = [name for name in case.names if name not in message]
        assert not missing, f"{told}: does not say {missing}"
        assert case.names, f"{case.what} names nothing that a refusal must say"
        case.untouched()
        return message
    assert case.right is not None, f"{case.what} was accepted"
    case.right(came_back)
    case.untouched()
    return "works"
