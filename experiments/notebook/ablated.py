"""A study of memories on a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .given import Rules, as_cell, by_name

if TYPE_CHECKING:
    from pandas import DataFrame

    from ...framework import Archive, CrossFrameMemory, Reader
    from ..ablation.options import AblateOptions
    from ..ablation.tidy import Study
    from ..benchmarks import Benchmark
    from ..reports.drawing import Drawing
    from ..streaming.options import ModelOptions


@dataclass(frozen=True, eq=False)
class Ablated:
    """Every memory of a study, at every size, on every model."""

    study: Study
    options: AblateOptions

    @property
    def rows(self) -> DataFrame:
        """A row for each model, cell and question, as `rows.parquet` has them."""
        return self.study.rows

    @property
    def cells(self) -> DataFrame:
        """A row for each model and cell, as `cells.parquet` has them: scores, differences to the
        reference, KL, costs; intervals in `_low` and `_high`."""
        return self.study.cells

    @cached_property
    def figures(self) -> list[Drawing]:
        """Accuracy and KL against cost and by parts of the questions; `.figure` is matplotlib's."""
        from ..ablation.figures import figures_of

        return figures_of(self.study, self.options).drawings

    @property
    def page(self) -> Path:
        """The page that the run wrote, with tables and figures beside it."""
        from ..ablation.report import PAGE

        return self.options.output / PAGE

    def __repr__(self) -> str:
        names = ", ".join(self.study.runs)
        return f"Ablated({len(self.rows)} rows of {len(self.cells)} cells on {names})"

    def _repr_html_(self) -> str:
        from ..reports.page import framed

        return framed(self.page.read_text("utf-8"))


def ablate(
    benchmark: Benchmark,
    *,
    models: Rules[ModelOptions],
    output: str | Path,
    memories: Rules[CrossFrameMemory] = (),
    fixed: Rules[CrossFrameMemory] = (),
    readers: Rules[Reader] = ("all",),
    archives: Rules[Archive] = ("plain",),
    trainer: Mapping[str, Any] | None = None,
    progress: bool = False,
    **options: Any,
) -> Ablated:
    """A study as `crossframe ablate` runs it: resumable, in this process alone.

    Args:
        benchmark: a class of `crossframe.experiments.benchmarks`, or your own.
        models: one or several checkpoints, as `load_model` takes them or with their options; the
            study loads them itself. By names of your own if a mapping.
        output: folder of the study; call again with the same to go on, or to add cells.
        memories, fixed, readers, archives: one or several rules, or texts as on the command line
            ("statekv"); by names of your own if a mapping. Memories are sized by `capacities`,
            `windows` or `budget`, fixed ones are taken as they are.
        trainer: options of Lightning's Trainer; one device unless they say otherwise.
        progress: draw progress bars.
        options: further fields of `AblateOptions`: capacities, budget, wrappers, sampling, limit...

    Raises:
        ValueError: for settings that cannot be, or a run that a launcher spread over processes.
        TypeError: for a field that `AblateOptions` has not.
    """
    from ..ablation.options import AblateOptions
    from ..ablation.run import ablate as run
    from ..streaming.options import ModelOptions
    from ..streaming.rule_text import archive_from, memory_from, reader_from

    chosen = AblateOptions(
        by_name("models", models, ModelOptions, _checkpoint_name),
        benchmark,
        Path(output),
        memories=by_name("memories", memories, memory_from, as_cell),
        fixed=by_name("fixed memories", fixed, memory_from, as_cell),
        readers=by_name("readers", readers, reader_from, as_cell),
        archives=by_name("archives", archives, archive_from, as_cell),
        trainer={"devices": 1, **(trainer or {})},
        **options,
    )
    study = run(chosen, interactive=progress)
    if study is None:
        raise ValueError(
            "ablate: this is one of several processes, which only the command can run: "
            "crossframe ablate --config study.yaml"
        )
    return Ablated(study, chosen)


def _checkpoint_name(one: str | ModelOptions) -> str:
    """The last part of its path."""
    return Path(one if isinstance(one, str) else one.model).name
