"""What a parser says of mistakes on the command line, in words that can be typed."""

from __future__ import annotations

import re
from argparse import Action
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_REQUIRED = re.compile(r"the following arguments are required: (\w+\.[^\s,]+(?:, \w+\.[^\s,]+)*)")
_LEFT_OVER = re.compile(r"unrecognized arguments: (\S+)")


def missing(message: str) -> tuple[str, list[str]] | None:
    """The command and the names of its arguments that an error misses; None for other errors."""
    found = _REQUIRED.match(message)
    if found is None:
        return None
    command, *_ = found[1].split(".")
    return command, [name.removeprefix(f"{command}.") for name in found[1].split(", ")]


def as_typed(names: Iterable[str], actions: Iterable[Action]) -> str:
    """Arguments as they are typed: `--model`, and `VIDEO` for one that is a word of its own."""
    plain = {
        action.dest: action.metavar or action.dest
        for action in actions
        if not action.option_strings
    }
    return ", ".join(
        str(plain[name]).upper() if name in plain else f"--{name.replace('_', '-')}"
        for name in names
    )


def meant(message: str, options: Mapping[str, Action]) -> str:
    """What to write instead of the words that no argument takes; "" for other errors."""
    found = _LEFT_OVER.search(message)
    if found is None:
        return ""
    option = found[1].partition("=")[0]
    if not option.startswith("-"):
        return "a text of several words needs quotes"
    near = get_close_matches(option, options, n=2, cutoff=0.75)
    return f"did you mean {' or '.join(near)}?" if near else ""
