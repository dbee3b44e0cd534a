"""Words of a command in the order that argparse reads: it takes a list of words without an option
in one piece, so they come first, wherever they were written."""

from __future__ import annotations

from argparse import Action
from collections.abc import Mapping, Sequence
from itertools import takewhile

SEVERAL = ("*", "+", "?")


def plain_first(words: Sequence[str], options: Mapping[str, Action]) -> list[str]:
    """The words that belong to no option, then the options with theirs; each in their order.

    Args:
        options: actions by how they are written, `--at` or `-a`.
    """
    plain: list[str] = []
    others: list[str] = []
    rest = list(words)
    while rest and rest[0] != "--":
        if not _is_option(rest[0]):
            plain.append(rest.pop(0))
            continue
        length = 1 + _taken(rest, options)
        others += rest[:length]
        del rest[:length]
    return [*plain, *others, *rest]


def _taken(words: Sequence[str], options: Mapping[str, Action]) -> int:
    """How many words behind an option, the first one, are its own."""
    behind = len(list(takewhile(lambda word: not _is_option(word), words[1:])))
    if "=" in words[0]:
        return 0
    action = options.get(words[0])
    number = None if action is None else action.nargs
    if isinstance(number, int):
        return number
    if number in SEVERAL:
        return min(behind, 1) if number == "?" else behind
    return 1


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1
