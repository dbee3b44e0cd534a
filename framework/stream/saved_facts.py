"""The header of a saved session: what is in it, and what it must satisfy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..as_data import describe, require_description
from ..flops import DecoderSpec
from ..model import VideoModel
from .saved_state import PLAIN, state_facts
from .session_view import SessionView
from .state import StreamState

FORMAT = 2  # 1 had no checksum, and named classes by the modules that held them
SETTINGS = ("in_frame", "frames_per_step", "max_tokens", "attention")
_RULES = ("memory", "archive", "reader")
_MOST = 2**62


def facts_of(session: SessionView) -> dict[str, Any]:
    """The header of a session.

    Raises:
        ValueError: if a setting of the memory, reader or archive is not plain data.
    """
    return {
        "format": FORMAT,
        "model": model_facts(session.model.spec),
        "memory": describe(session.memory),
        "archive": describe(session.archive.codec),
        "reader": describe(session.reader),
        "settings": {name: getattr(session, name) for name in SETTINGS},
        **state_facts(session.state),
    }


def model_facts(spec: DecoderSpec) -> dict[str, Any]:
    """Sizes of a decoder as the header has them; of a plain decoder the same as ever."""
    given = {name: value for name, value in asdict(spec).items() if value}
    return json.loads(json.dumps(given))


def parse_facts(text: str) -> dict[str, Any] | None:
    """The header as written; None for what is no header of this version or an earlier one."""
    try:
        facts = json.loads(text, parse_int=_small, parse_constant=_small)
    except (ValueError, RecursionError):
        return None
    known = isinstance(facts, dict) and facts.get("format") in (1, FORMAT)
    return facts if known and not isinstance(facts["format"], bool) else None


def _small(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)  # not a number for NaN and Infinity


def require(holds: bool, what: str) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError(what)


def check_facts(facts: Mapping[str, Any], model: VideoModel) -> None:
    """Refuse a header that no session of this model can have; the ValueError names the field and
    its value."""
    needed = {"format", "model", *_RULES, "settings", "pending", "layers", "previous"}
    plain = {"cursor", "largest_frame"} if facts["format"] == 1 else set(PLAIN)
    missing = (needed | plain) - facts.keys()
    require(not missing, f"its header lacks {sorted(missing)}")
    strange = facts.keys() - needed - set(PLAIN)
    require(not strange, f"its header has the unknown fields {sorted(strange)!r:.100}")
    for name in _RULES:
        require_description(facts[name])
    _check_settings(facts["settings"])
    _check_cursor(facts)
    _check_frames(facts, model)


def _check_settings(settings: object) -> None:
    require(
        isinstance(settings, dict) and settings.keys() == set(SETTINGS),
        f"its settings are {settings!r:.100}, not {list(SETTINGS)}",
    )
    assert isinstance(settings, dict)
    for name in ("in_frame", "attention"):
        value = settings[name]
        short = isinstance(value, str) and len(value) < 50
        require(short, f"its setting {name} is {value!r:.100}")
    for name in ("frames_per_step", "max_tokens"):
        value = settings[name]
        require(_is_count(value) and value > 0, f"its setting {name} is {value!r:.100}")


def _check_cursor(facts: Mapping[str, Any]) -> None:
    cursor, largest = facts["cursor"], facts["largest_frame"]
    counts = ("tokens", "frames", "position")
    require(
        isinstance(cursor, dict)
        and cursor.keys() == set(counts)
        and all(_is_count(cursor[name]) for name in counts)
        and _is_count(largest),
        f"its cursor is {cursor!r:.100} and its largest frame {largest!r:.50}, not counts",
    )
    tokens, frames = cursor["tokens"], cursor["frames"]
    fits = largest <= tokens <= (frames + 1) * largest and frames <= tokens
    require(
        fits if tokens else not any((frames, cursor["position"], largest)),
        f"its cursor {cursor} does not go with a largest frame of {largest} tokens",
    )
    _check_origin(facts.get("origin", {"first": 0, "now": 0}), cursor["position"])
    default = StreamState()
    latest = facts.get("latest")
    require(_is_time(latest), f"its latest timestamp is {latest!r:.100}")
    for name in set(PLAIN) & facts.keys() - {"cursor", "origin", "latest"}:
        kind = type(getattr(default, name))
        require(type(facts[name]) is kind, f"its {name} is {facts[name]!r:.100}")


def _check_origin(origin: object, position: int) -> None:
    require(
        isinstance(origin, dict)
        and origin.keys() == {"first", "now"}
        and all(_is_count(origin[name]) for name in origin)
        and origin["first"] <= origin["now"] <= position,
        f"its origin {origin!r:.100} does not go with a stream at position {position}",
    )


def _check_frames(facts: Mapping[str, Any], model: VideoModel) -> None:
    count = model.spec.num_layers
    expected = [{"layer": number, "num_layers": count} for number in range(count)]
    layers, seen = facts["layers"], facts["cursor"]["tokens"] > 0
    require(layers == (expected if seen else []), f"its layers are {layers!r:.100}")
    pending = facts["pending"]
    require(
        isinstance(pending, list)
        and len(pending) < model.frames_per_patch
        and all(_is_time(time) for time in pending),
        f"its waiting frames have the times {pending!r:.100}; at most "
        f"{model.frames_per_patch - 1} can wait",
    )
    previous = facts["previous"]
    require(
        previous is None
        or (
            isinstance(previous, dict)
            and previous.keys() == {"timestamp", "next_position"}
            and _is_time(previous["timestamp"])
            and (previous["next_position"] is None or _is_count(previous["next_position"]))
            and facts["cursor"]["frames"] > 0
        ),
        f"its last frame is {previous!r:.100}",
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _is_time(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
