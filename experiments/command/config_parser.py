"""The parser of commands and configurations; its errors say which class may have been meant."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Any, NoReturn, cast, get_origin

from jsonargparse import ArgumentParser

from .parse_errors import as_typed, meant, missing
from .word_order import plain_first

LISTS = (list, tuple, Sequence)
# What jsonargparse says of a name without dots that is no class of the kind it looks for.
_UNKNOWN = re.compile(r"Expected a dot import path string: (\S+)")


class ConfigParser(ArgumentParser):
    """An `ArgumentParser` that knows our classes, spells options with hyphens, and takes lists as
    words: `--suites copy needle` beside `--suites '[copy, needle]'`; and any number of words that
    belong to no option, wherever they stand."""

    # jsonargparse gives the class of its groups the same method.
    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_argument(*(hyphenated(name) for name in args), **kwargs)

    def parse_args(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        words = None
        if args is not None:
            words = [self._respelled(word) for word in args]
            self._require_no_parts_of_lists(words)
            words = self._with_lists(words)
            if any(action.nargs == "*" for action in self._get_positional_actions()):
                words = plain_first(words, self._option_string_actions)
        return super().parse_args(words, *rest, **settings)

    def _with_lists(self, words: list[str]) -> list[str]:
        """The words, plain ones behind an option that takes a list as the list they are."""
        joined: list[str] = []
        while words:
            joined.append(words.pop(0))
            if self._takes_list(joined[-1]):
                plain = list(takewhile(lambda word: not word.startswith(("-", "[", "{")), words))
                joined += [f"[{', '.join(plain)}]"] if plain else []
                del words[: len(plain)]
        return joined

    def _require_no_parts_of_lists(self, words: Sequence[str]) -> None:
        """Refuse `--memories.a`, of which jsonargparse says something about its own insides."""
        for word in words:
            option = word.partition("=")[0]
            whole, dot, _ = option.partition(".")
            if dot and option not in self._option_string_actions and self._takes_several(whole):
                self.error(f"unrecognized arguments: {word}")

    def _takes_several(self, option: str) -> bool:
        action = self._option_string_actions.get(option)
        return self._takes_list(option) or (action is not None and action.nargs == "+")

    def _takes_list(self, option: str) -> bool:
        # Only jsonargparse's actions for annotated options have it.
        typehint = getattr(self._option_string_actions.get(option), "_typehint", None)
        return get_origin(typehint) in LISTS

    def _respelled(self, word: str) -> str:
        """A word, or what it says in place of an option of version 0.1 with underscores."""
        old, equals, value = word.partition("=")
        new = hyphenated(old)
        if new == old or new not in self._option_string_actions:
            return word
        print(f"crossframe: {old} is now {new}; after this version it is unknown", file=sys.stderr)
        return new + equals + value

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if (lacking := missing(message)) is not None:
            command, names = lacking
            commands = next(action for action in self._actions if action.dest == "command")
            own = cast("Mapping[str, ConfigParser]", commands.choices)[command]
            typed = as_typed(names, own._actions)
            own.error(f"the following arguments are required: {typed}", ex)
        advice = meant(message, self._option_string_actions)
        super().error(message + (f"\n{advice}" if advice else remedy(message)), ex)


def hyphenated(name: str) -> str:
    """An option as it is typed; other names as they are. Values keep their underscores, as in
    files: `--max-tokens` sets `max_tokens`."""
    return name.replace("_", "-") if name.startswith("--") else name


def remedy(message: str) -> str:
    """What to write instead of the class that a message names; "" for other messages, and for those
    that say it already, as parsers pass their errors on to one another."""
    named = _UNKNOWN.search(message)
    advice = "" if named is None else _instead_of(named[1])
    return "" if advice in message else f"\n{advice}"


def _instead_of(name: str) -> str:
    known = known_classes()
    if name in known:
        return f"{name} is the name of {known[name]}, which cannot stand here."
    near = get_close_matches(name, known, n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else "."
    return (
        f"No class of crossframe is called {name}{meant} "
        f"A class of your own is named by its path, such as my_package.{name}."
    )


def known_classes() -> dict[str, str]:
    """Names of our classes that configurations may name, and what each is."""
    from ... import framework, methods
    from .. import benchmarks

    kinds = {
        framework.CrossFrameMemory: "a memory",
        framework.Reader: "a reader",
        framework.Archive: "an archive",
        benchmarks.Benchmark: "a benchmark",
    }
    classes: dict[str, str] = {}
    for module in (framework, methods, benchmarks):
        for name, value in vars(module).items():
            for kind, word in kinds.items():
                if isinstance(value, type) and issubclass(value, kind):
                    classes[name] = word
    return classes
