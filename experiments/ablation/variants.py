"""The memories of a study before their sizes are known: every memory, wrapper and amount."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ...framework import CrossFrameMemory, FullMemory, innermost, nested, with_part
from ...methods import SlidingWindowMemory, TokenDroppingMemory
from ..reports.text import short
from ..streaming.rule_text import memory_from
from .options import AblateOptions, Wrapper

# The innermost of a wrapper that is still to be put around something; it takes all of them.
PLACEHOLDER = {"class_path": "StateKVMemory", "init_args": {"capacity": None}}


@dataclass(frozen=True)
class Knob:
    """A setting of a memory, or of one that it wraps.

    Attributes:
        name: "capacity" in slots per KV head, "frames" of a window, or the "ratio" of tokens
            dropped before the decoder.
        owner: whose setting it is.
    """

    name: str
    owner: CrossFrameMemory

    def set(self, memory: CrossFrameMemory, value: float | None) -> CrossFrameMemory:
        """The memory with another value of it; None is unbounded.

        Raises:
            ValueError: if the memory, or one around it, does not take the value.
        """
        owner: Any = self.owner  # a dataclass with this setting
        return with_part(memory, owner, replace(owner, **{self.name: value}))


def knob_of(memory: CrossFrameMemory) -> Knob | None:
    """What sets the size of a memory; None where nothing does.

    A memory of slots has its capacity, also inside wrappers and token dropping; a window its
    frames; token dropping with nothing bounded inside the ratio.
    """
    inner = innermost(memory)
    if is_dataclass(inner) and "capacity" in {one.name for one in fields(inner)}:
        return Knob("capacity", inner)
    if isinstance(inner, SlidingWindowMemory):
        return Knob("frames", inner)
    dropping = [one for one in nested(memory) if isinstance(one, TokenDroppingMemory)]
    if isinstance(inner, FullMemory) and dropping and dropping[0].threshold is None:
        return Knob("ratio", dropping[0])
    return None


@dataclass(frozen=True)
class Variant:
    """A memory of the grid before its size is known.

    Attributes:
        memory: its name.
        wrapper: the name of what is around it, "" for nothing.
        template: the memory with the wrapper, its size still open.
        amount: what its size is set by; None: it stays as it is.
        knob: what sets its size, None for one that stays as it is.
        caller: the command that asks for it.
    """

    memory: str
    wrapper: str
    template: CrossFrameMemory
    amount: float | None = None
    knob: Knob | None = None
    caller: str = "ablate"

    @property
    def name(self) -> str:
        """Its memory and wrapper, without the amount."""
        return self.memory + (f"+{self.wrapper}" if self.wrapper else "")

    @property
    def label(self) -> str:
        """Its name in a study of one reader, archive and way to cut the stream."""
        return self.name if self.amount is None else f"{self.name} {short(self.amount)}"

    def __str__(self) -> str:
        """As errors about it begin."""
        return f"{self.caller}: {self.label}"

    def at(self, value: float) -> CrossFrameMemory:
        """Its memory with the knob set.

        Raises:
            ValueError: naming the variant, if the memory cannot have that size.
        """
        assert self.knob is not None
        try:
            return self.knob.set(self.template, value)
        except ValueError as error:
            raise ValueError(f"{self} cannot have {self.knob.name}={value}: {error}") from error


def variants(options: AblateOptions) -> list[Variant]:
    """All memories of a study, fixed ones first, before budgets are turned into sizes.

    Raises:
        ValueError: for a memory whose size cannot be set, a wrapper that cannot be, or one around
            a memory it does not take.
    """
    memories = [Variant(name, "", memory) for name, memory in options.fixed.items()]
    wrappers = {name: _wrapper(name, config) for name, config in options.wrappers.items()}
    for name, memory in options.memories.items():
        if isinstance(memory, FullMemory):  # nothing to size, nothing to wrap
            memories.append(Variant(name, "", memory))
            continue
        memory = _unsized(memory, options)
        for wrapper, around_it in wrappers.items():
            template = _wrapped(name, memory, wrapper, around_it)
            named = wrapper if around_it is not None else ""
            memories += _amounts(Variant(name, named, template), options)
    _require_own_names(memories)
    return memories


def _require_own_names(memories: Sequence[Variant]) -> None:
    names = [variant.label for variant in memories]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"ablate: two memories are called {twice!r}; rename one, or give amounts that differ "
            "in their first four digits"
        )


def _unsized(memory: CrossFrameMemory, options: AblateOptions) -> CrossFrameMemory:
    """The memory without a bound of its own, if it is given others; a wrapper might not fit it."""
    knob = knob_of(memory)
    swept = options.budget or options.capacities or options.windows
    if not swept or knob is None or knob.name == "ratio":
        return memory
    try:
        return knob.set(memory, None)
    except ValueError:
        return memory


def _amounts(variant: Variant, options: AblateOptions) -> Iterator[Variant]:
    """The variant with every amount that its kind is given."""
    knob, budget = knob_of(variant.template), options.budget
    sweeps: dict[str, Sequence[float]] = {
        "capacity": options.capacities, "frames": options.windows
    }  # fmt: skip
    if budget is None and not any(sweeps.values()):
        yield variant
        return
    amounts = budget.amounts if budget is not None else sweeps.get(knob.name if knob else "", ())
    if knob is None or not amounts:
        raise ValueError(_cannot(variant, knob, budgeted=budget is not None))
    for amount in amounts:
        yield Variant(variant.memory, variant.wrapper, variant.template, amount, knob)


def _cannot(variant: Variant, knob: Knob | None, *, budgeted: bool) -> str:
    what = f"{variant}, {variant.template!r},"
    if budgeted or knob is None:
        return (
            f"{what} has no capacity, window or ratio by which its size could be set; list it "
            "under fixed to take it as it is"
        )
    option = {"capacity": "capacities", "frames": "windows"}.get(knob.name, "a budget")
    return f"{what} is sized by its {knob.name}: give {option} too, or list it under fixed"


def _wrapper(name: str, config: Wrapper | None) -> CrossFrameMemory | None:
    if config is None:
        return None
    try:
        return memory_from(json.dumps(_completed(config)))
    except (ValueError, TypeError) as error:
        raise ValueError(f"ablate: wrapper {name!r}: {error}") from error


def _completed(config: Wrapper) -> Wrapper:
    """The wrapper around the placeholder."""
    settings = dict(config.get("init_args") or {})
    inner = settings.get("inner")
    settings["inner"] = PLACEHOLDER if inner is None else _completed(inner)
    return {**config, "init_args": settings}


def _wrapped(
    name: str, memory: CrossFrameMemory, wrapper: str, around_it: CrossFrameMemory | None
) -> CrossFrameMemory:
    if around_it is None:
        return memory
    try:
        return with_part(around_it, innermost(around_it), memory)
    except ValueError as error:
        raise ValueError(
            f"ablate: wrapper {wrapper!r} cannot go around {name!r}: {error}; leave one of the two "
            "out, or wrap others by hand and list them under memories"
        ) from error
