"""Texts and numbers as people read them, on terminals and pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any

PREFIXES = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
MISSING = "–"
FULL = "FullMemory"  # the family of full attention
# The number that a cell begins with, and its unit's prefix: "46.9 kB", "+1.2 [0.4, 2.0]", "88%".
LEADING = re.compile(r"([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\s?([kMGTP])?(?:B|FLOP)\b)?")


def printable(text: str) -> str:
    """Text without control characters, which could command a terminal; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def some(names: Sequence[str], most: int = 5) -> str:
    """Names one after the other, at most so many, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def scale(values: Sequence[float]) -> tuple[str, float]:
    """The prefix that brings the largest value to 1 or more, and what it stands for."""
    largest = max(values, default=0.0)
    return next(((name, unit) for name, unit in PREFIXES if largest >= unit), ("", 1.0))


def number(value: float) -> str:
    """Three significant digits, without an exponent where people would not expect one."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def formatted(value: float | None, form: str, missing: str = MISSING) -> str:
    """A number by a format of Python's; None and nan are missing."""
    return missing if value is None or isnan(value) else format(value, form)


def cell(value: str | float) -> str:
    """Text as it is, whole numbers with their thousands parted, others with two decimals."""
    if isinstance(value, str):
        return value
    return formatted(value, "," if isinstance(value, int) else ".2f")


def finite(value: Any) -> Any:
    """A value as strict JSON takes it: None for nan and infinities, also inside."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def strict_json(content: Mapping[str, Any]) -> str:
    """JSON for files; what is not a finite number becomes null."""
    return json.dumps(finite(content), indent=2, allow_nan=False) + "\n"


def short(amount: float, unit: str = "") -> str:
    """A number as people say it: 4096, 1.5M."""
    for prefix, size in PREFIXES:
        if amount >= max(size, 1e5):
            return f"{amount / size:.4g}{prefix}{unit}"
    return f"{amount:g}{unit}"


def leading_number(text: str) -> float | None:
    """The number that a text begins with, in units without a prefix; None where it has none."""
    found = LEADING.match(text)
    if found is None:
        return None
    return float(found[1].replace(",", "")) * dict(PREFIXES).get(found[2] or "", 1.0)
