"""Rules written as text: `statekv`, `window(frames=8)`, `my_package.MyMemory(capacity=64)`.

Memories, readers and archives alike; wherever a setting is a rule itself, they nest.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ... import framework, methods
from ...framework import Archive, CrossFrameMemory, Reader
from ...framework.as_data import R, Rule

SYNTAX = (
    "write a name, name(setting=value), a class path such as my_package.MyMemory(capacity=64), or "
    'JSON {"class_path": ..., "init_args": {...}}; text values need quotes, and memories nest: '
    "drop(inner=statekv, ratio=0.5)"
)
DEFAULT_CAPACITY = 4096
# Short names and their classes.
MEMORIES: Mapping[str, type[CrossFrameMemory]] = {
    "full": methods.FullMemory,
    "statekv": methods.StateKVMemory,
    "window": methods.SlidingWindowMemory,
    "recency": methods.RecencyMemory,
    "drop": methods.TokenDroppingMemory,
    "sinks": methods.SinksAndRecentMemory,
    "isolated": methods.IsolatedFramesMemory,
    "random": methods.RandomMemory,
    "reservoir": methods.ReservoirMemory,
    "uniform": methods.UniformMemory,
    "h2o": methods.H2OMemory,
    "tova": methods.TOVAMemory,
    "snapkv": methods.SnapKVMemory,
    "keydiff": methods.KeyDiffMemory,
    "knorm": methods.KnormMemory,
    "value_norm": methods.ValueNormMemory,
    "predicted_change": methods.PredictedChangeMemory,
    "weight_statistic": methods.WeightStatisticMemory,
    "lagkv": methods.LagKVMemory,
    "infinipot_v": methods.InfiniPotVMemory,
    "stream_mem": methods.StreamMemMemory,
    "coverage": methods.CoverageMemory,
}
READERS: Mapping[str, type[Reader]] = {
    "all": methods.ReadAll,
    "carried": methods.ReadCarried,
    "sinks_and_recent": methods.ReadSinksAndRecent,
    "last_frames": methods.ReadLastFrames,
    "rekv": methods.ReKVReader,
}
ARCHIVES: Mapping[str, type[Archive]] = {
    "plain": framework.PlainArchive,
    "cpu": framework.CPUArchive,
    "disk": framework.DiskArchive,
    "int8": framework.Int8Archive,
    "int4": framework.Int4Archive,
    "none": framework.NoArchive,
}


@dataclass(frozen=True)
class MemoryDefaults:
    """Settings for memories that do not bring their own.

    Args:
        capacity: slots per KV head, for every memory that takes `capacity`; a memory that needs
            one gets 4096, the StateKV paper's.
        window: frames carried by `window`.
        ratio: share of each frame's visual tokens that `drop` leaves out.
    """

    capacity: int | None = None
    window: int = 16
    ratio: float = 0.5


def memory_from(spec: str, defaults: MemoryDefaults | None = None) -> CrossFrameMemory:
    """The memory that a text stands for.

    Only literals are evaluated; classes are found by import, so no registration is needed.

    Args:
        spec: a known name or class path, with settings as in a call or as JSON.
        defaults: settings for what the spec leaves open.

    Raises:
        ValueError: for text that cannot be read, unknown names or wrong settings.
    """
    return _rule(spec, CrossFrameMemory, defaults or MemoryDefaults())


def reader_from(spec: str) -> Reader:
    """The reader that a text stands for; as `memory_from`."""
    return _rule(spec, Reader, MemoryDefaults())


def archive_from(spec: str) -> Archive:
    """The archive that a text stands for; as `memory_from`."""
    return _rule(spec, Archive, MemoryDefaults())


def require_distinct(what: str, specs: Sequence[str]) -> None:
    """Refuse a text that comes twice; the ValueError names it."""
    repeated = sorted({spec for spec in specs if specs.count(spec) > 1})
    if repeated:
        raise ValueError(f"{what} listed more than once: {', '.join(repeated)}; name each once")


def _rule(spec: str, kind: type[R], defaults: MemoryDefaults) -> R:
    made = _parsed(spec, defaults)
    if not isinstance(made, kind):
        article, known = {
            CrossFrameMemory: ("a", MEMORIES), Reader: ("a", READERS), Archive: ("an", ARCHIVES)
        }[kind]  # fmt: skip
        raise ValueError(
            f"{spec!r} is {made!r}, not {article} {kind.__name__}; known are {', '.join(known)}"
        )
    return made


def _parsed(spec: str, defaults: MemoryDefaults) -> Any:
    if spec.lstrip().startswith("{"):
        try:
            return _from_json(json.loads(spec), defaults)
        except json.JSONDecodeError as error:
            raise ValueError(f"{spec!r} is not JSON ({error}): {SYNTAX}") from error
    try:
        node = ast.parse(spec.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{spec!r} cannot be read ({error.msg}): {SYNTAX}") from error
    if not isinstance(node, ast.Call | ast.Name | ast.Attribute):
        raise ValueError(f"{spec!r} is neither a name nor a class path: {SYNTAX}")
    return _value(node, defaults)


def memories_from(
    specs: Sequence[str], defaults: MemoryDefaults | None = None
) -> dict[str, CrossFrameMemory]:
    """Several memories by the text that stands for them.

    Raises:
        ValueError: as `memory_from`, or if a text comes twice.
    """
    require_distinct("memories", specs)
    return {spec: memory_from(spec, defaults) for spec in specs}


def _value(node: ast.expr, defaults: MemoryDefaults) -> Any:
    """A setting: a literal, a memory, or a list of those."""
    if isinstance(node, ast.Name | ast.Attribute):
        return _made(ast.unparse(node), [], {}, defaults)
    if isinstance(node, ast.Call):
        positional = [_value(part, defaults) for part in node.args]
        named = {part.arg or "**": _setting(part, defaults) for part in node.keywords}
        return _made(ast.unparse(node.func), positional, named, defaults)
    if isinstance(node, ast.List | ast.Tuple):
        parts = [_value(part, defaults) for part in node.elts]
        return parts if isinstance(node, ast.List) else tuple(parts)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"{ast.unparse(node)!r} is not a plain value: {SYNTAX}") from error


def _setting(part: ast.keyword, defaults: MemoryDefaults) -> Any:
    """A setting that is given by name."""
    text = part.value.id if isinstance(part.value, ast.Name) else ""
    if text and not _is_known(text):
        raise ValueError(
            f'{part.arg}={text}: text values need quotes, {part.arg}="{text}"; else it is '
            f"the name of a memory, reader or archive, and none is called {text}{_meant(text)}"
        )
    return _value(part.value, defaults)


def _from_json(value: Any, defaults: MemoryDefaults) -> Any:
    if isinstance(value, list):
        return [_from_json(part, defaults) for part in value]
    if not isinstance(value, dict):
        return value
    if "class_path" not in value or not value.keys() <= {"class_path", "init_args"}:
        raise ValueError(f"a rule as JSON has class_path and init_args, got {value}: {SYNTAX}")
    settings = value.get("init_args", {})
    if not isinstance(settings, dict):
        raise ValueError(f"init_args must be an object of settings, got {settings!r}: {SYNTAX}")
    named = {name: _from_json(part, defaults) for name, part in settings.items()}
    return _made(str(value["class_path"]), [], named, defaults)


def _made(
    path: str, positional: list[Any], named: dict[str, Any], defaults: MemoryDefaults
) -> Rule:
    kind = _class(path)
    signature = inspect.signature(kind)
    try:
        given = signature.bind_partial(*positional, **named).arguments
        open_settings = _defaults_for(kind, signature, given, defaults)
        signature.bind(*positional, **named, **open_settings)
    except TypeError as error:
        raise ValueError(
            f"{path}: {error}; {kind.__name__} takes {_readable(signature)}"
        ) from error
    return kind(*positional, **named, **open_settings)


def _defaults_for(
    kind: type, signature: inspect.Signature, given: dict[str, Any], defaults: MemoryDefaults
) -> dict[str, Any]:
    """What the spec left open and the command line knows."""
    known: dict[str, Any] = {}
    capacity = signature.parameters.get("capacity")
    if capacity is not None and defaults.capacity is not None:
        known["capacity"] = defaults.capacity
    elif capacity is not None and capacity.default is capacity.empty:
        known["capacity"] = DEFAULT_CAPACITY
    if kind is methods.SlidingWindowMemory:
        known["frames"] = defaults.window
    if kind is methods.TokenDroppingMemory and given.get("threshold") is None:
        known["ratio"] = defaults.ratio
    return {name: value for name, value in known.items() if name not in given}


def _class(path: str) -> type[Rule]:
    short = {**MEMORIES, **READERS, **ARCHIVES}
    if path in short:
        return short[path]
    if path in vars(methods):
        path = f"{methods.__name__}.{path}"
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ValueError(
            f"no memory, reader or archive is called {path!r}"
            + (_meant(path) or f"; known are {', '.join(short)}; or {SYNTAX}")
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"cannot import {module_name!r} for {path}: {error}; run from the folder "
            "that holds it or install it"
        ) from error
    kind = vars(module).get(name)
    if not (isinstance(kind, type) and issubclass(kind, Rule)):
        what = "missing" if kind is None else f"{kind!r}, not a CrossFrameMemory"
        raise ValueError(
            f"{name} in {module.__file__} is {what}; give a class that subclasses "
            "CrossFrameMemory, Reader or Archive of crossframe.framework"
        )
    return kind


def _is_known(name: str) -> bool:
    return name in {**MEMORIES, **READERS, **ARCHIVES} or name in vars(methods)


def _meant(name: str) -> str:
    """What a name that is none may have been; "" where nothing is near."""
    short = [*MEMORIES, *READERS, *ARCHIVES]
    classes = [k for k, kind in vars(methods).items() if isinstance(kind, type)]
    # Without regard to case: `StateKV` is near `statekv`.
    spelled = {one.lower(): one for one in [*classes, *short]}
    near = get_close_matches(name.lower(), spelled, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(spelled[one] for one in near)}?" if near else ""


def _readable(signature: inspect.Signature) -> str:
    names = [str(setting).split(":")[0] for setting in signature.parameters.values()]
    return f"the settings {', '.join(names)}" if names else "no settings"
