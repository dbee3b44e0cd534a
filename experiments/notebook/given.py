"""What is given as the text of the command line, or as itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ...framework import VideoModel

T = TypeVar("T")
# What rules are given as, one or several: the text of each, as on the command line, or itself.
Rules = str | T | Sequence[str | T] | Mapping[str, str | T]


def as_written(one: Any) -> str:
    """The name of what has none: its text, or its repr."""
    return one if isinstance(one, str) else repr(one)


def as_cell(one: Any) -> str:
    """The same, as it may stand in the names of a study's cells: "statekv 64"."""
    return " ".join(re.findall(r"[\w.+-]+", as_written(one)))


def by_name(
    what: str,
    given: Any,
    made_of: Callable[[str], Any],
    name_of: Callable[[Any], str] = as_written,
) -> dict[str, Any]:
    """What is given, one or several, by its name, and texts made into what they stand for.

    Raises:
        ValueError: for two things of one name, or a class in place of an instance; `what` says what
            they are.
    """
    from ..streaming.rule_text import require_distinct

    if not isinstance(given, Mapping):
        several = isinstance(given, Sequence) and not isinstance(given, str)
        listed = given if several else [given]
        names = [name_of(one) for one in listed]
        require_distinct(what, names)
        given = dict(zip(names, listed, strict=True))
    for one in given.values():
        if isinstance(one, type):
            raise ValueError(f"got the class {one.__name__}: make an instance, {one.__name__}(...)")
    return {name: made_of(one) if isinstance(one, str) else one for name, one in given.items()}


def loaded(model: str | VideoModel) -> VideoModel:
    """The adapter, or what `load_model` loads."""
    from ...models import load_model

    return load_model(model) if isinstance(model, str) else model
