"""Memories, readers and archives as plain data: their class by name, and its settings."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from .archive import Archive
from .memory import CrossFrameMemory
from .reader import Reader

Kind = TypeVar("Kind")


def describe(rule: object) -> dict[str, Any]:
    """Class and settings of a rule, as plain data.

    Raises:
        ValueError: for a setting that is no plain data, naming it.
    """
    cls = type(rule)
    return {"class": f"{cls.__module__}:{cls.__qualname__}", "settings": _settings(rule)}


def _settings(rule: object) -> dict[str, Any] | None:
    """Fields of a dataclass; None for another class with attributes: its arguments are unknown."""
    if not is_dataclass(rule):
        return None if vars(rule) else {}
    settings: dict[str, Any] = {}
    for setting in fields(rule):
        value = getattr(rule, setting.name)
        nested = _is_rule(type(value))
        settings[setting.name] = describe(value) if nested else value
        _require_plain(type(rule), setting.name, settings[setting.name])
    return settings


def _is_rule(cls: type) -> bool:
    """Whether a setting of this class is described by its own settings."""
    return is_dataclass(cls) or issubclass(cls, CrossFrameMemory | Archive | Reader)


def _require_plain(cls: type, name: str, value: object) -> None:
    try:
        json.dumps(value)
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__}.{name} = {value!r} cannot be saved: settings must be numbers, text, "
            "booleans, lists or nested memories"
        ) from error


def rebuild(description: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """The rule again; its class is imported by name and must be of the expected kind.

    Raises:
        ValueError: if the class cannot be imported, is no such rule, or its
            settings are unknown.
    """
    module, _, name = description["class"].partition(":")
    try:
        cls: Any = importlib.import_module(module)
        for part in name.split("."):
            cls = getattr(cls, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"the session was saved with {description['class']}, which cannot be imported here: "
            f"pass the {kind.__name__} yourself"
        ) from error
    # The file may come from elsewhere: nothing but a rule is called with what it says.
    if not (isinstance(cls, type) and issubclass(cls, kind) and _is_rule(cls)):
        raise ValueError(f"{description['class']} is not a {kind.__name__} that can be rebuilt")
    if description["settings"] is None:
        raise ValueError(
            f"the session was saved with {description['class']}, which is no dataclass, so its "
            f"settings are not in the file: pass the {kind.__name__} yourself"
        )
    settings = {
        name: rebuild(value, object) if isinstance(value, dict) and "class" in value else value
        for name, value in description["settings"].items()
    }
    return cls(**settings)
