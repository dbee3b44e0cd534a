"""A run's rows as people compare them: a line per memory and size, a value per stream."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from statistics import fmean
from typing import Any

Row = Mapping[str, Any]
ANCHOR = "statekv"  # whose sizes the others' are told by


@dataclass(frozen=True)
class Measure:
    """What a row says of its stream.

    Attributes:
        name: in files.
        suite: whose rows say it.
        head: in tables.
        of: the value, None where a row lacks it.
        lower_is_better: as for losses, unlike accuracies.
    """

    name: str
    suite: str
    head: str
    of: Callable[[Row], float | None]
    lower_is_better: bool = True


@dataclass(frozen=True)
class Line:
    """One memory at one size: a cell, or several that differ in their seed alone.

    Attributes:
        label: the cells' name up to the first "/": "random" of "random/128/0".
        cells: names of the cells.
        state_bytes: held for later frames at a stream's end, mean.
        capacity: slots per KV head by the memory's settings; None where it has no such setting.
    """

    label: str
    cells: tuple[str, ...]
    state_bytes: float
    capacity: int | None


@dataclass(frozen=True, eq=False)
class Results:
    """Rows of a run with its configuration.

    Args:
        rows: as `run_evidence` gives them.
        config: as its folder holds it: `cells`, `reference`, `tokens`, `half`.
    """

    rows: Sequence[Row]
    config: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The cell of full attention."""
        return self.config["reference"]

    @cached_property
    def lines(self) -> list[Line]:
        """All memories at all sizes that have rows, in the order of the cells."""
        together: dict[tuple[str, str], list[str]] = defaultdict(list)
        measured = {cell for cell, _ in self._by_cell}
        for cell, settings in self.config["cells"].items():
            if cell in measured:
                key = cell.partition("/")[0], json.dumps(_seedless(settings), sort_keys=True)
                together[key].append(cell)
        return [self._line(label, cells) for (label, _), cells in together.items()]

    def by_size(self) -> dict[int | None, list[Line]]:
        """Lines that hold about equally much, by the slots that StateKV has of it.

        Each memory goes with the size of StateKV whose bytes are nearest to its own, whatever it
        counts its size in; full attention and memories that hold nothing go with all. Without
        StateKV all lines go together, under None.
        """
        anchors = [
            one for one in self.lines if one.label == ANCHOR and one.capacity and one.state_bytes
        ]
        if not anchors:
            return {None: self.lines}
        anchors.sort(key=lambda one: one.state_bytes)
        by_capacity: dict[int | None, list[Line]] = {one.capacity: [] for one in anchors}
        for line in self.lines:
            everywhere = self.reference in line.cells or not line.state_bytes
            near = anchors if everywhere else [min(anchors, key=lambda a: _apart(a, line))]
            for anchor in near:
                by_capacity[anchor.capacity].append(line)
        return by_capacity

    def values(self, line: Line, measure: Measure) -> dict[str, float]:
        """The measure by stream, mean over seeds; streams that a seed lacks are left out."""
        each = [self._of_cell(cell, measure) for cell in line.cells]
        streams = set.intersection(*(set(one) for one in each))
        return {name: fmean(one[name] for one in each) for name in sorted(streams)}

    def has(self, measure: Measure) -> bool:
        """Whether any row says it."""
        rows = (row for row in self.rows if row["suite"] == measure.suite)
        return any(measure.of(row) is not None for row in rows)

    def cost(self, line: Line, name: str) -> float:
        """A cost's mean over all streams of a suite that is there."""
        return fmean(row[name] for cell in line.cells for row in self._costed(cell))

    def streams(self, suite: str) -> int:
        """How many there are."""
        return len({row["question"] for row in self.rows if row["suite"] == suite})

    @cached_property
    def missing(self) -> int:
        """Rows that some cell lacks of a suite that it has begun: the run was stopped."""
        begun = {(row["cell"], row["suite"]) for row in self.rows}
        return sum(self.streams(suite) for _, suite in begun) - len(self.rows)

    def cells_without(self, suite: str) -> int:
        """How many have no row of a suite that others have."""
        return len(self.config["cells"]) - len(
            {row["cell"] for row in self.rows if row["suite"] == suite}
        )

    @property
    def suites(self) -> list[str]:
        """Those with rows, in the order of the rows."""
        return list(dict.fromkeys(row["suite"] for row in self.rows))

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str], list[Row]]:
        by_cell: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            by_cell[row["cell"], row["suite"]].append(row)
        return dict(by_cell)

    def _of_cell(self, cell: str, measure: Measure) -> dict[str, float]:
        values = {
            row["question"]: measure.of(row) for row in self._by_cell.get((cell, measure.suite), ())
        }
        return {name: value for name, value in values.items() if value is not None}

    def _costed(self, cell: str) -> list[Row]:
        return next(rows for suite in self.suites if (rows := self._by_cell.get((cell, suite))))

    def _line(self, label: str, cells: list[str]) -> Line:
        held = fmean(row["state_bytes"] for cell in cells for row in self._costed(cell))
        capacity = next(_settings(self.config["cells"][cells[0]], "capacity"), None)
        return Line(label, tuple(cells), held, capacity)


def _apart(anchor: Line, line: Line) -> float:
    return abs(log(anchor.state_bytes / line.state_bytes))


def _settings(config: Any, name: str) -> Iterator[Any]:
    """Values of a setting, of a memory and of those inside it, outermost first."""
    if isinstance(config, Mapping):
        if config.get(name) is not None:
            yield config[name]
        for part in config.values():
            yield from _settings(part, name)


def _seedless(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {key: _seedless(part) for key, part in config.items() if key != "seed"}
    return config
