"""The parser of commands and configurations; its errors say which class may have been meant."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NoReturn

from jsonargparse import ArgumentParser

from ... import framework, methods
from ...framework import Archive, CrossFrameMemory, Reader
from .. import benchmarks
from ..benchmarks.question import Benchmark

KINDS = {
    CrossFrameMemory: "a memory",
    Reader: "a reader",
    Archive: "an archive",
    Benchmark: "a benchmark",
}
# What jsonargparse says of a name without dots that is no class of the kind it looks for.
_UNKNOWN = re.compile(r"Expected a dot import path string: (\S+)")


class ConfigParser(ArgumentParser):
    """An `ArgumentParser` that knows our classes."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        super().error(message + remedy(message), ex)


def remedy(message: str) -> str:
    """What to write instead of the class that a message names; "" for other messages, and for those
    that say it already, as parsers pass their errors on to one another."""
    found = _UNKNOWN.search(message)
    said = "" if found is None else _instead_of(found[1])
    return "" if said in message else f"\n{said}"


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
    found: dict[str, str] = {}
    for module in (framework, methods, benchmarks):
        for name, value in vars(module).items():
            for kind, word in KINDS.items():
                if isinstance(value, type) and issubclass(value, kind):
                    found[name] = word
    return found
