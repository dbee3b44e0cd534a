"""Accuracy in percent from result rows, overall and per group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]

# Joins several groups that one question belongs to.
AND = "; "


def accuracy(rows: Rows, *groups: str) -> dict[str, float]:
    """ "accuracy" over all rows alike (micro), then "group/name" for each named group.

    Raises:
        ValueError: for no rows, or a row without one of the groups.
    """
    scores = {"accuracy": share(rows)}
    for group in groups:
        scores |= {f"{group}/{name}": one for name, one in shares(rows, group).items()}
    return scores


def shares(rows: Rows, group: str) -> dict[str, float]:
    """Percent right per name of a group, in order of appearance.

    A row whose name joins several (`AND`) counts in each of them.

    Raises:
        ValueError: for no rows, or a row without the group.
    """
    share(rows)  # refuses none
    return {name: share(some) for name, some in members(rows, group).items()}


def members(rows: Rows, group: str) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each name of a group, in order of appearance; of joined names (`AND`) in each.

    Raises:
        ValueError: for a row without the group.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for name in _name(row, group).split(AND):
            by_name.setdefault(name, []).append(row)
    return by_name


def share(rows: Rows, field: str = "correct") -> float:
    """Percent of rows whose field is true.

    Raises:
        ValueError: for no rows.
    """
    if not rows:
        raise ValueError("there are no rows to score")
    return 100 * sum(bool(row[field]) for row in rows) / len(rows)


def mean(values: Iterable[float]) -> float:
    """The plain mean."""
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _name(row: Mapping[str, Any], group: str) -> str:
    if group not in row["groups"]:
        known = ", ".join(map(repr, row["groups"]))
        raise ValueError(
            f"a row has no group {group!r} (its groups are {known}); is it another benchmark's?"
        )
    return row["groups"][group]
