"""Texts and numbers as people read them, on terminals and pages."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """Text without control characters, which could command a terminal; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


PREFIXES = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def scale(values: Sequence[float]) -> tuple[str, float]:
    """The prefix that brings the largest value to 1 or more, and what it stands for."""
    largest = max(values, default=0.0)
    return next(((name, unit) for name, unit in PREFIXES if largest >= unit), ("", 1.0))


def number(value: float) -> str:
    """Three significant digits, without an exponent where people would not expect one."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
