"""Memories, readers and archives as plain data, their class by name and its settings; and the same
with another part inside."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_args

from .archives.codec import Archive, WrappedArchive
from .archives.reader import Reader
from .memory import CrossFrameMemory, WrappedMemory

Kind = TypeVar("Kind")
Rule = CrossFrameMemory | Reader | Archive
R = TypeVar("R", CrossFrameMemory, Reader, Archive)
# Whose public classes a file may name. Nothing else is ever imported because a file says so.
_ROOMS = ("crossframe.framework", "crossframe.methods")


def describe(rule: object) -> dict[str, Any]:
    """Class and settings of a rule, as plain data.

    Raises:
        ValueError: for a setting that is no plain data, naming it.
    """
    return {"class": ":".join(public_home(type(rule))), "settings": _settings(rule)}


def plain(value: Any) -> Any:
    """Any settings, of rules too, as plain data: with `class_path` and `init_args` as configuration
    files have them, so that they can be written, read again and compared."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if not _is_rule(type(value)):
        return str(value)
    # Of somebody's class that is no dataclass, its attributes.
    settings = _fields(value) if is_dataclass(value) else vars(value)
    return {"class_path": ".".join(public_home(type(value))), "init_args": plain(settings)}


def innermost(rule: R) -> R:
    """What a rule wraps, at the end of all wrappers; itself if it wraps nothing."""
    while isinstance(rule, WrappedMemory | WrappedArchive):
        rule = rule.inner
    return rule


def with_part(rule: R, part: R, other: R) -> R:
    """The rule with `other` in the place of `part`, which is itself or what it wraps: that very
    object, not an equal one. What is around it is made anew, and checks it.

    Raises:
        ValueError: if `part` is not there, or something around it does not take `other`.
    """
    if rule is part:
        return other
    if not isinstance(rule, WrappedMemory | WrappedArchive):
        raise ValueError(f"{part!r:.100} is not inside, where {rule!r:.100} is the innermost")
    return replace(rule, inner=with_part(rule.inner, part, other))


def public_home(cls: type) -> tuple[str, str]:
    """Module and name by which a class is known: of ours the package that offers it to users, so
    that files may move inside; of others where they are defined."""
    module, name = cls.__module__, cls.__qualname__
    parts = module.split(".") if module.startswith("crossframe.") else []
    for package in (".".join(parts[:count]) for count in range(1, len(parts))):
        if vars(sys.modules[package]).get(name) is cls:
            return package, name
    return module, name


def classes_of(*rules: object) -> list[type]:
    """The classes of rules and of those in their settings: what loading them again has to trust."""
    found: list[type] = []
    for rule in rules:
        inside = [value for value in _fields(rule).values() if _is_rule(type(value))]
        found += [type(rule), *classes_of(*inside)]
    return found


def _fields(rule: object) -> dict[str, Any]:
    """The settings of a dataclass by name; none of another class."""
    return {f.name: getattr(rule, f.name) for f in fields(rule)} if is_dataclass(rule) else {}


def _settings(rule: object) -> dict[str, Any] | None:
    """Fields of a dataclass; None for another class with attributes: its arguments are unknown."""
    if not is_dataclass(rule):
        return None if vars(rule) else {}
    settings: dict[str, Any] = {}
    for name, value in _fields(rule).items():
        settings[name] = describe(value) if _is_rule(type(value)) else value
        _require_plain(type(rule), name, settings[name])
    return settings


def _is_rule(cls: type) -> bool:
    """Whether a setting of this class is described by its own settings."""
    return is_dataclass(cls) or issubclass(cls, Rule)


def _require_plain(cls: type, name: str, value: object) -> None:
    try:
        json.dumps(value)
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__}.{name} = {value!r} cannot be saved: settings must be numbers, text, "
            "booleans, lists or nested memories"
        ) from error


def rebuild(description: Mapping[str, Any], kind: type[Kind], trusted: Sequence[type] = ()) -> Kind:
    """The rule again.

    A file may come from elsewhere. It can name the public memories, readers and archives of
    `crossframe.framework` and `crossframe.methods` (also by the modules that held them once), and
    the classes that the caller trusts. Nothing is imported and no other class called for it.

    Args:
        description: as `describe` made it.
        kind: what the rule must be.
        trusted: classes of the caller's own; of settings too, where they are dataclasses.

    Raises:
        ValueError: for another class, for one that is no such rule, or settings it does not take.
    """
    name, settings = description["class"], description["settings"]
    cls = _named(name, trusted)
    remedy = f"pass the {kind.__name__} yourself"
    if cls is None:
        raise ValueError(
            f"the session was saved with {name!r:.100}, which is no public memory, reader or "
            f"archive of crossframe, and only those are loaded by name: {remedy}, or load it with "
            f"trusted=[{name.rpartition(':')[2].rpartition('.')[2]:.50}]"
        )
    if not issubclass(cls, kind):
        raise ValueError(f"{name!r:.100} is not a {kind.__name__} that can be rebuilt: {remedy}")
    if settings is None:
        raise ValueError(
            f"the session was saved with {name!r:.100}, which is no dataclass, so its settings are "
            f"not in the file: {remedy}"
        )
    made = {field: _setting(value, trusted) for field, value in settings.items()}
    try:
        return cls(**made)
    except (TypeError, AttributeError, KeyError, IndexError, ArithmeticError) as error:
        raise ValueError(
            f"{cls.__name__} does not take the saved settings {made!r:.200} ({error}): {remedy}"
        ) from error


def _setting(value: Any, trusted: Sequence[type]) -> Any:
    """A setting as it was, with rules in it rebuilt."""
    if not (isinstance(value, dict) and value.keys() == {"class", "settings"}):
        return value
    require_description(value)
    cls = _named(value["class"], trusted)
    kind = next((kind for kind in get_args(Rule) if cls and issubclass(cls, kind)), None)
    if kind is None and cls in trusted:
        kind = cls  # a dataclass of settings that the caller answers for
    return rebuild(value, kind or CrossFrameMemory, trusted)


def require_description(value: object) -> None:
    """Refuse what `describe` cannot have made; the ValueError names it."""
    if not (
        isinstance(value, dict)
        and value.keys() == {"class", "settings"}
        and isinstance(value["class"], str)
        and isinstance(value["settings"], dict | None)
    ):
        raise ValueError(f"{value!r:.200} does not describe a rule by class and settings")


def require_trusted(trusted: Sequence[type]) -> None:
    """Refuse classes that no saved rule can have; the ValueError names the class."""
    for cls in trusted:
        if not (isinstance(cls, type) and _is_rule(cls)):
            raise ValueError(
                f"trusted={cls!r:.100} is no memory, reader, archive or dataclass: give classes, "
                "as in trusted=[MyMemory]"
            )


def _named(name: str, trusted: Sequence[type]) -> type | None:
    """The class of that name among the trusted and our public rules; None for any other."""
    for cls in trusted:
        if name in (f"{cls.__module__}:{cls.__qualname__}", ":".join(public_home(cls))):
            return cls
    module, _, own = name.partition(":")
    room = next((room for room in _ROOMS if f"{module}.".startswith(f"{room}.")), None)
    found = None if room is None else vars(importlib.import_module(room)).get(own)
    # Checked before anything of the class runs.
    return found if isinstance(found, type) and issubclass(found, Rule) else None
