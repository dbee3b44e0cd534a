"""What `crossframe evaluate` is told; loads none of the laboratory's libraries."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...framework.as_data import plain
from ...framework.counts import require_count
from ...framework.stream.verify import check_generation
from ..benchmarks.question import Benchmark
from ..streaming.cells import Cell, require_cell
from ..streaming.options import ModelOptions
from ..streaming.sampling import FrameSampling

# They decide where rows go and what works on them, not what they say.
BESIDE_THE_POINT = ("output", "trainer", "strict", "retry", "cells_at_once")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How questions are asked, whatever of.

    Args:
        sampling: which frames are shown.
        max_new_tokens: of a reply; null is the benchmark's own.
        max_tokens: planned length of a stream; null is what each needs, at least the range the
            model was trained for.
        cells_at_once: cells whose sessions are held together; null for all. Fewer need less memory
            and decode and encode the video again.
        generation: options of `generate`; greedy unless they say otherwise.
        seed: of every reply, for sampling; a reply does not depend on what was asked before.
        limit: ask only the first so many questions.
        strict: stop at a missing or unreadable video, or at a frame that FFmpeg flags as damaged,
            instead of counting it.
        retry: look again for videos that were missing or unreadable before.
        trainer: options of Lightning's Trainer: accelerator, devices, strategy, num_nodes, logger
            and callbacks (each as class_path and init_args), ...
    """

    sampling: FrameSampling = field(default_factory=FrameSampling)
    max_new_tokens: int | None = None
    max_tokens: int | None = None
    cells_at_once: int | None = None
    generation: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    limit: int | None = None
    strict: bool = False
    retry: bool = False
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateOptions(RunOptions):
    """What to evaluate.

    Further arguments as `RunOptions`.

    Args:
        model: the checkpoint and how it is loaded; devices are the trainer's.
        benchmark: a class of `crossframe.experiments.benchmarks` with its settings.
        cells: memory, reader, archive and session settings by name.
        output: folder of the run; run again with the same settings to go on where it stopped.
        reference: the cell that the others are compared with; null for none.
    """

    model: ModelOptions
    benchmark: Benchmark
    cells: dict[str, Cell]
    output: Path
    reference: str | None = None

    def __post_init__(self) -> None:
        if not self.cells:
            raise ValueError("evaluate: cells must name at least one cell")
        require_cell("evaluate", self.reference, self.cells)
        for name in ("max_new_tokens", "max_tokens", "cells_at_once", "limit"):
            require_count("evaluate", name, getattr(self, name), least=1)
        if not isinstance(self.seed, int):  # whatever a configuration says
            raise ValueError(f"evaluate: seed must be a whole number, got {self.seed!r}")
        if self.model.device is not None:
            raise ValueError(
                f"evaluate: model.device is {self.model.device!r}, but the trainer hands out "
                "devices: leave it out and set trainer.accelerator and trainer.devices"
            )
        check_generation(self.generation)
        if "max_new_tokens" in self.generation:
            raise ValueError("evaluate: max_new_tokens is an option of its own, not of generation")

    @property
    def reply_tokens(self) -> int:
        """Most tokens of a reply."""
        return self.max_new_tokens or self.benchmark.max_new_tokens

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide about rows: all but where they go and what runs them."""
        kept = [f.name for f in fields(self) if f.name not in BESIDE_THE_POINT]
        return {name: plain(getattr(self, name)) for name in kept}
