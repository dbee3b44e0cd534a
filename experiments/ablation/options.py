"""The options of `crossframe ablate`; loads none of the laboratory's libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...framework import Archive, CrossFrameMemory, FullMemory, Reader, require_count
from ..benchmarks.question import Benchmark
from ..evaluation.options import EvaluateOptions, RunOptions
from ..streaming.cells import Cell
from ..streaming.options import ModelOptions
from .quantities import QUANTITIES, Quantity

# Names become names of folders and parts of cells' names.
NAME = re.compile(r"[\w.+-][\w.+ -]*")

Wrapper = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """What all memories get equally much of. Chosen and named, because equal slots are neither
    equal bytes (statistics of a slot are held too) nor equal FLOPs.

    Args:
        match: "slots" per KV head, "bytes" really held per layer (keys, values, columns,
            statistics) or "flops" of the decoder for one frame, all once the state is full.
        amounts: how many; with `like`, its capacities.
        like: a memory whose own slots, bytes or FLOPs at these capacities are matched.
        frames: length of the stream at whose end a memory that never fills (token dropping alone)
            is matched; null is `sampling.max_frames`.
        tolerance: share by which a memory may miss the amount, as one that carries whole frames
            must; beyond it the run is refused.

    Raises:
        ValueError: for an unknown match, no amounts, or numbers that cannot be.
    """

    match: str
    amounts: tuple[float, ...]
    like: CrossFrameMemory | None = None
    frames: int | None = None
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.match not in QUANTITIES:
            known = ", ".join(map(repr, QUANTITIES))
            raise ValueError(f"budget: match must be one of {known}, got {self.match!r}")
        if not self.amounts:
            raise ValueError("budget: amounts must name at least one amount")
        if min(self.amounts) <= 0:
            raise ValueError(f"budget: amounts must be above 0, got {min(self.amounts):g}")
        if self.like is not None and any(amount % 1 for amount in self.amounts):
            raise ValueError(
                f"budget: with like, amounts are capacities and must be whole, got {self.amounts}"
            )
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"budget: tolerance must lie in [0, 1), got {self.tolerance}")
        require_count("budget", "frames", self.frames, least=2)

    @property
    def quantity(self) -> Quantity:
        """What is matched, as it is measured and named."""
        return QUANTITIES[self.match]


@dataclass(frozen=True)
class AblateOptions(RunOptions):
    """What to compare.

    Further arguments as `RunOptions`. Every memory with every amount, wrapper, reader, archive and
    way to cut the stream, on every model. Cells that would be the same are run once.

    Args:
        models: checkpoints by name; devices are the trainer's.
        benchmark: a class of `crossframe.experiments.benchmarks` with its settings.
        output: folder of the study, with a folder of rows for each model; run again with the same
            settings to go on where it stopped; memories, amounts and whatever else makes new cells
            may be added.
        memories: by name; their size is set by `capacities`, `windows` or `budget`, whatever it
            says here (null will do), or stays as it is without any of these.
        fixed: memories by name that are taken as they are.
        capacities: slots per KV head, for memories with a capacity.
        windows: frames, for sliding windows.
        budget: equal slots, bytes or FLOPs instead, from which each memory's size is worked out.
        wrappers: by name, each a class_path with init_args but without inner (or with an inner
            wrapper without inner, and so on), or null for none; put around every one of `memories`.
        readers: what the answer reads, by name; null is the whole archive.
        archives: how the KV of all frames is kept, by name; null is as it is.
        frames_per_step: temporal patches that pass the decoder together.
        in_frame: "causal", "bidirectional".
        attention: "auto", "plain", "chunked" or "sdpa".
        reference: the cell that the others are compared with; "full" is added where it is no cell;
            null for none.
        only: names of models to run now, separated by commas, say on a machine of their own; the
            page tells of all models that have rows.
        extrapolate: frames up to which decoder FLOPs are drawn.
        note: a warning for readers, shown on top of the page.

    Raises:
        ValueError: for settings that cannot be, naming setting, value and remedy.
    """

    models: dict[str, ModelOptions]
    benchmark: Benchmark
    output: Path
    memories: dict[str, CrossFrameMemory] = field(default_factory=dict)
    fixed: dict[str, CrossFrameMemory] = field(default_factory=dict)
    capacities: tuple[int, ...] = ()
    windows: tuple[int, ...] = ()
    budget: Budget | None = None
    wrappers: dict[str, Wrapper | None] = field(default_factory=lambda: {"": None})
    readers: dict[str, Reader | None] = field(default_factory=lambda: {"all": None})
    archives: dict[str, Archive | None] = field(default_factory=lambda: {"plain": None})
    frames_per_step: tuple[int, ...] = (1,)
    in_frame: tuple[str, ...] = ("causal",)
    attention: str = "auto"
    reference: str | None = "full"
    only: str | None = None
    extrapolate: int = 3600
    note: str = ""

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("ablate: models must name at least one model")
        if not (self.memories or self.fixed):
            raise ValueError("ablate: the grid is empty; name memories, or fixed ones")
        if self.budget is not None and (self.capacities or self.windows):
            raise ValueError("ablate: give either a budget, or capacities and windows")
        for what in ("wrappers", "readers", "archives", "frames_per_step", "in_frame"):
            if not getattr(self, what):
                raise ValueError(f"ablate: {what} is empty, and so is the grid; leave it out")
        for what in ("capacities", "windows", "frames_per_step", "in_frame"):
            _require_distinct(what, getattr(self, what))
        if self.budget is not None:
            _require_distinct("budget.amounts", self.budget.amounts)
        for what in ("models", "memories", "fixed", "wrappers", "readers", "archives"):
            _require_names(what, getattr(self, what))
        both = sorted(self.memories.keys() & self.fixed.keys())
        if both:
            raise ValueError(
                f"ablate: {', '.join(both)} named under memories and under fixed; rename one"
            )
        require_count("ablate", "extrapolate", self.extrapolate, least=2, unbounded=False)
        chosen_models(self)
        for name in self.models:  # finds what evaluate would refuse
            self.evaluation(
                name, {self.reference or "full": Cell(FullMemory(), attention=self.attention)}
            )

    def evaluation(self, model: str, cells: dict[str, Cell]) -> EvaluateOptions:
        """The options of `evaluate` for one model."""
        shared: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(RunOptions)}
        return EvaluateOptions(
            self.models[model], self.benchmark, cells, self.output / model, self.reference, **shared
        )


def chosen_models(options: AblateOptions) -> dict[str, ModelOptions]:
    """The models to run now.

    Raises:
        ValueError: for a name in `only` that is no model.
    """
    if options.only is None:
        return options.models
    names = [name.strip() for name in options.only.split(",")]
    unknown = [name for name in names if name not in options.models]
    if unknown:
        raise ValueError(
            f"ablate: only names {', '.join(map(repr, unknown))}, but models are "
            f"{', '.join(options.models)}"
        )
    return {name: options.models[name] for name in names}


def _require_distinct(what: str, values: tuple[Any, ...]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"ablate: {what} names {repeated[0]} more than once; name it once")


def _require_names(what: str, names: Iterable[str] | Mapping[str, Any]) -> None:
    for name in names:
        named = NAME.fullmatch(name) and name.strip(". ")  # "." and ".." are folders
        if not named and not (what == "wrappers" and name == ""):
            raise ValueError(
                f"ablate: {what} has the name {name!r:.100}; names are made of letters, digits, "
                "spaces and any of . _ + -, not of dots alone"
            )
