"""Settings that count something or choose among names, refused where they do not."""

from __future__ import annotations

from collections.abc import Sequence


def require_count(
    owner: str, name: str, value: object, *, least: int = 0, unbounded: bool = True
) -> None:
    """Refuse a setting that is not an integer of at least `least`, nor None where that is allowed;
    the ValueError names owner, setting and value."""
    if value is None and unbounded:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        choice = ", or None for unbounded" if unbounded else ""
        raise ValueError(
            f"{owner}: {name} must be an integer of at least {least}{choice}, got {value!r}"
        )


def require_one_of(owner: str, name: str, value: object, known: Sequence[str]) -> None:
    """Refuse a setting that is none of the known ones; the ValueError names owner, setting and
    value."""
    if value not in known:
        raise ValueError(f"{owner}: {name} must be one of {known}, got {value!r}")
