"""The one setting that says how much a memory carries."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ...framework import CrossFrameMemory, FullMemory, WrappedMemory
from ...framework.memory import nested
from ...methods import SlidingWindowMemory, TokenDroppingMemory


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
        return _rebuilt(memory, self.owner, {self.name: value})


def knob_of(memory: CrossFrameMemory) -> Knob | None:
    """What sets the size of a memory; None where nothing does.

    A memory of slots has its capacity, also inside wrappers and token dropping; a window its
    frames; token dropping with nothing bounded inside the ratio.
    """
    layers = list(nested(memory))
    innermost = layers[-1]
    if is_dataclass(innermost) and "capacity" in {one.name for one in fields(innermost)}:
        return Knob("capacity", innermost)
    if isinstance(innermost, SlidingWindowMemory):
        return Knob("frames", innermost)
    dropping = [one for one in layers if isinstance(one, TokenDroppingMemory)]
    if isinstance(innermost, FullMemory) and dropping and dropping[0].threshold is None:
        return Knob("ratio", dropping[0])
    return None


def around(wrapper: CrossFrameMemory, memory: CrossFrameMemory) -> CrossFrameMemory:
    """A wrapper, or several in one another, around another memory than the innermost it has."""
    if not isinstance(wrapper, WrappedMemory):
        return memory
    return replace(wrapper, inner=around(wrapper.inner, memory))


def _rebuilt(
    memory: CrossFrameMemory, owner: CrossFrameMemory, settings: dict[str, Any]
) -> CrossFrameMemory:
    if memory is owner:
        return replace(memory, **settings)  # pyright: ignore[reportArgumentType]
    assert isinstance(memory, WrappedMemory)  # the owner is nested in it
    return replace(memory, inner=_rebuilt(memory.inner, owner, settings))
