"""Kinds of questions: a table of contents, and tasks as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType

from .counting import Count as Count
from .counting import Tally as Tally
from .looking_back import First as First
from .looking_back import Last as Last
from .looking_back import Now as Now
from .looking_back import Order as Order
from .recalling import BeforeLast as BeforeLast
from .recalling import Needle as Needle
from .recalling import Recall as Recall
from .recalling import SeenBefore as SeenBefore
from .task import Task as Task
from .tracking import Left as Left
from .tracking import Swaps as Swaps

# By name, with the knobs that a bare name stands for.
_KINDS: tuple[type[Task], ...] = (
    Now, Needle, Recall, BeforeLast, First, Last, Order, Count, SeenBefore, Tally, Swaps, Left,
)  # fmt: skip
TASKS: Mapping[str, Task] = MappingProxyType({kind.name: kind() for kind in _KINDS})


def task_from(text: str) -> Task:
    """A task as people write it: "count", "count:most=4", "needle:delay=8-16".

    Raises:
        ValueError: for an unknown task or knob, or a value that the knob cannot have.
    """
    name, *settings = text.split(":")
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; known are {', '.join(TASKS)}")
    task, knobs = TASKS[name], {}
    for setting in settings:
        knob, _, value = setting.partition("=")
        known = [field.name for field in fields(task)]
        if knob not in known or not value:
            knobs_told = ", ".join(f"{each}=..." for each in known) or "none"
            raise ValueError(
                f"task {text!r}: {setting!r} is no knob of {name}; it has {knobs_told}"
            )
        knobs[knob] = _value(value)
    return replace(task, **knobs)


def _value(text: str) -> int | tuple[int, int] | str:
    """A number, a range or a word."""
    parts = text.split("-")
    if not all(part.isdigit() for part in parts) or len(parts) > 2:
        return text
    low, *high = map(int, parts)
    return (low, high[0]) if high else low
