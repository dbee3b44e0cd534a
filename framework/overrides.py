"""Which methods of a memory are its own: those that it inherits say that they are not."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def standard(method: Method) -> Method:
    """Declare a method to do what is done wherever nobody decides otherwise, or what a memory
    inside does, and no more."""
    # Itself, not True: `functools.wraps` copies what is set on a function to the one around it.
    vars(method)["standard"] = method
    return method


def replaces(memory: object, name: str) -> bool:
    """Whether the class of a memory has another method of that name than a `standard` one. One that
    declares nothing is taken to do something of its own."""
    method = getattr(type(memory), name)
    return not (isinstance(method, FunctionType) and vars(method).get("standard") is method)
