"""How the kit tells of a broken law: which one, by what, the stream, and where to look."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .memory_laws import LawBroken, Stream

# What breaks a law, most often, by the law's name.
LOOK_AT: Mapping[str, str] = MappingProxyType(
    {
        "1 attention": "`admit`: it may leave tokens out, but not reorder or repeat them "
        "(`frame.take` with ascending indices)",
        "2 mass": "what writes into `slots.mass` or `slots.reduced`: make a new tensor instead",
        "3 selection": "`score`: it may depend on `slots` alone (hash a seed with `slots.index` "
        "instead of drawing random numbers), and a `select` of your own lets ties go to the newer",
        "4 positions": "what changes keys, values or `rotated`; a slot is moved by its `positions` "
        "alone, and a memory that merges says so by `merges = True` and `stats['merged']`",
        "4 merging": "the weights of the mean: they are positive and sum to 1, and keys are "
        "averaged at one position (`slots.keys_at`)",
        "5 steps": "`admit`: what enters is some of the frame it was given, never of another",
        "6 exactness": "`update` of the unbounded instance: it has to return every slot",
        "7 boundedness": "`limit` or `budget`, and slices of tensors that are carried: a view "
        "holds all of its storage, `slots.keep` copies",
        "7 state": "what `update`, `score` or `admit` put into `state`: replace it by something of "
        "a fixed size (a mean, a window) instead of adding to it",
        "8 isolation": "attributes of the memory, class or module: whatever changes belongs into "
        "`slots.stats` or `slots.state`",
        "9 asking": "in-place operations on tensors of `state` (+=, copy_, lerp_): replace them",
        "10 forks": "in-place operations on tensors of `state` or `stats`, and attributes that "
        "change: a fork shares them with its parent",
        "10 saving": "what is kept outside `stats` and `state`: only tensors there are saved",
        "11 failure": "in-place operations on tensors of `state`: a push that failed cannot take "
        "them back",
        "12 archive": "`pack` and `unpack`: packed tensors have one row a token",
        "13 cost": "matrix products outside `admit` and `update`, which alone are left uncounted",
        "stream": "`pack`: it may not write into the keys and values it is given",
        "answers": "`unpack` after `pack`: bit for bit what went in, unless it is `lossy`",
        "tokens": "shapes of what `pack` gives: [batch, KV heads, tokens, ...]",
        "parts": "numbers that `pack` takes from several tokens: each is packed alone",
        "growth": "shapes of what `pack` gives: one row a token, of a fixed size",
        "forks": "what the class keeps besides its settings: a fork shares it with its parent",
        "saving": "settings that are no plain values: the class is rebuilt from them",
        "failure": "what `pack` keeps besides what it returns",
        "selection": "`read`: it returns slots of the archive or carried ones, in stream order, "
        "and depends on the question alone",
        "attention": "`read`: it may choose slots and move `positions`, nothing else of them",
        "asking": "in-place operations on what `read` is given",
        "reach": "`reach`: how far behind the question a picked slot may stand, in positions",
    }
)


@dataclass(frozen=True, eq=False)
class Case:
    """One law on one stream.

    Attributes:
        table, name: where the law stands, "LAWS" or the like, and under which name.
        law: takes what it is about, then the stream.
        about: what it is about, by the name it has in a report.
    """

    table: str
    name: str
    law: Callable[..., None]
    about: Mapping[str, object]
    stream: Stream

    def __repr__(self) -> str:
        about = ", ".join(f"{name}={value!r:.200}" for name, value in self.about.items())
        return f'{self.table}["{self.name}"]({about}, stream={self.stream!r})'

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        """For hypothesis, which would print the tensors of a dataclass."""
        del cycle
        printer.text(repr(self))  # type: ignore[attr-defined]

    def check(self) -> None:
        """Hold to the law.

        Raises:
            LawBroken: if it is broken.
        """
        self.law(*self.about.values(), self.stream)

    def report(self, broken: LawBroken) -> LawBroken:
        """The failure with what is needed to look into it, in a dozen lines."""
        lines = [
            *(f"{name} = {_short(value)}" for name, value in self.about.items()),
            f"model = {_short(self.stream.model)}",
            f"stream = {_short(self.stream)}",
            f'again: {self.table}["{self.name}"]({", ".join(self.about)}, stream)',
            f"look at {LOOK_AT[self.name]}",
        ]
        return LawBroken("\n".join([str(broken), *map(_indented, lines)]))


def _short(value: object) -> str:
    return textwrap.shorten(repr(value), 400, placeholder=" ...")


def _indented(line: str) -> str:
    return textwrap.fill(line, 96, initial_indent="  ", subsequent_indent="      ")
