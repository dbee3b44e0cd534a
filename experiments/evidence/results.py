"""A run's rows as people compare them: a line per memory and size, a value per stream."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from pathlib import PurePath
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from ..reports.tables import DataTable
from .suites import FRAME_TOKENS

Row = Mapping[str, Any]
Made = TypeVar("Made")
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
        family: the class of the innermost memory.
    """

    label: str
    cells: tuple[str, ...]
    state_bytes: float
    capacity: int | None
    family: str


@dataclass(frozen=True, eq=False)
class Results:
    """Rows of a run with its configuration.

    Args:
        rows: as `run_evidence` gives them.
        config: as its folder holds it: `cells`, `reference`, `half`, and `tokens` or,
            of clips, `frames`.
    """

    rows: Sequence[Row]
    config: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The cell of full attention."""
        return self.config["reference"]

    @property
    def frames(self) -> float:
        """Of a stream."""
        return self.config.get("frames") or self.config["tokens"] / FRAME_TOKENS

    @property
    def model(self) -> str:
        """The last part of the model's name or path."""
        return PurePath(self.config["model"]["init_args"]["model"]).name

    @property
    def length(self) -> str:
        """Of a stream: "1,024 tokens", "64 frames" of a clip, or "64 frames in scenes of 1–4"."""
        clip, scene = self.config.get("frames"), list(self.config.get("scene", (1, 1)))
        if not clip:
            return f"{self.config['tokens']:,} tokens"
        scenes = "" if scene == [1, 1] else f" in scenes of {scene[0]}–{scene[1]}"
        return f"{clip} frames{scenes}"

    @cached_property
    def lines(self) -> list[Line]:
        """All memories at all sizes that have rows, in the order of the cells."""
        together: dict[tuple[str, str], list[str]] = defaultdict(list)
        measured = {row["cell"] for row in self.rows}
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

    def values(self, line: Line, measure: Measure) -> DataTable:
        """The measure by stream, mean over seeds; streams that a seed lacks are left out."""
        return self.once((line, measure), lambda: self._values(line, measure))

    def table(self, measure: Measure) -> DataTable:
        """The measure by stream, down, and cell, across; nan where no row says it."""
        return self.once(measure, lambda: self._table(measure))

    def has(self, measure: Measure) -> bool:
        """Whether any row says it."""
        table = self.table(measure)
        return self.once(("has", measure), lambda: bool(table.notna().any(axis=None)))

    def once(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """What a function makes of these rows, made at the first call under this name."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def cost(self, line: Line, name: str) -> float:
        """A cost's mean over all streams of a suite that is there."""
        own = np.sort(np.concatenate([self._places[cell] for cell in line.cells]))
        rows = self._costs.iloc[own]
        suite = next(suite for suite in self.suites if suite in set(rows["suite"]))
        return float(rows[name][rows["suite"] == suite].mean())

    def streams(self, suite: str) -> int:
        """How many there are."""
        return len({row["question"] for row in self.rows if row["suite"] == suite})

    @cached_property
    def missing(self) -> int:
        """Rows that some cell lacks of a suite that it has begun: the run was stopped."""
        begun = self._costs.groupby("suite")[["cell", "question"]].nunique()
        return int(begun.prod(axis=1).sum()) - len(self.rows)

    def cells_without(self, suite: str) -> int:
        """How many have no row of a suite that others have."""
        shown = {row["cell"] for row in self.rows if row["suite"] == suite}
        return len(self.config["cells"]) - len(shown)

    @cached_property
    def suites(self) -> list[str]:
        """Those with rows, in the order of the rows."""
        return list(dict.fromkeys(row["suite"] for row in self.rows))

    def _values(self, line: Line, measure: Measure) -> DataTable:
        from pandas import Series  # 0.4 s

        table = self.once(("sorted", measure), lambda: self.table(measure).sort_index())
        if not all(cell in table.columns for cell in line.cells):
            return Series(index=table.index[:0], dtype=float)
        each = table[[*line.cells]].to_numpy()
        whole = ~np.isnan(each).any(axis=1)
        # One index object for all lines of a whole run: differences then need not align it.
        index = table.index if whole.all() else table.index[whole]
        return Series([fmean(seeds) for seeds in each[whole]], index, dtype=float)

    def _table(self, measure: Measure) -> DataTable:
        from pandas import DataFrame

        values: dict[str, dict[str, float | None]] = defaultdict(dict)
        for row in self.rows:
            if row["suite"] == measure.suite:
                values[row["cell"]][row["question"]] = measure.of(row)
        return DataFrame(values, dtype=float)

    @cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    @cached_property
    def _places(self) -> Mapping[str, np.ndarray]:
        """Of the rows of each cell."""
        return self._costs.groupby("cell").indices

    @cached_property
    def _costs(self) -> DataTable:
        """A line per row, a column per field that is a number or a name."""
        from pandas import DataFrame

        return DataFrame(self.rows)

    def _line(self, label: str, cells: Sequence[str]) -> Line:
        cell = self.config["cells"][cells[0]]
        capacity = next(_settings(cell, "capacity"), None)
        *_, family = _settings(cell["init_args"]["memory"], "class_path")
        unsized = Line(label, tuple(cells), 0.0, capacity, family.rpartition(".")[2])
        return replace(unsized, state_bytes=self.cost(unsized, "state_bytes"))


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
