"""From the options of a study to the cells that are run, each once and named readably."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ...framework import (
    Archive,
    CrossFrameMemory,
    FullMemory,
    PlainArchive,
    ReadAll,
    Reader,
    innermost,
)
from ..streaming.cells import Cell, is_kept, is_readable, require_cell
from .options import AblateOptions
from .variants import Variant


@dataclass(frozen=True)
class Sized:
    """A variant and the memory it became.

    Attributes:
        value: of the variant's knob.
        attained: what it has of the matched quantity, by the dry run; None where nothing is.
        wanted: what it should have.
    """

    variant: Variant
    memory: CrossFrameMemory
    value: float | None = None
    attained: float | None = None
    wanted: float | None = None


@dataclass(frozen=True)
class Grid:
    """The cells of one model.

    Attributes:
        cells: by name.
        settings: of each cell, as columns of a table.
        same: names that stand for the same as another one, and which.
        left_out: names of cells that cannot be, because the memory carries and the archive keeps
            nothing that the reader could read.
    """

    cells: dict[str, Cell]
    settings: dict[str, dict[str, Any]]
    same: dict[str, str]
    left_out: list[str] = field(default_factory=list)


def grid(options: AblateOptions, memories: Iterable[Sized], layers: int = 1) -> Grid:
    """The cells of one model: all memories of the study, at their sizes on it.

    Args:
        layers: of the model's decoder.

    Raises:
        ValueError: for two different cells of one name, or a reference that is none.
    """
    made = Grid({}, {}, {})
    if options.reference == "full":
        full = Sized(Variant("full", "", FullMemory()), FullMemory())
        cell = Cell(FullMemory(), attention=options.attention)
        _add(made, "full", cell, {"family": "full", **_settings(full, "all", "plain", cell)})
    for sized in memories:
        for name, cell, settings in _cut(sized, options):
            reader = cell.reader or ReadAll()
            if is_readable(cell.memory, reader, layers) and is_kept(cell.archive, reader):
                _add(made, name, cell, settings)
            else:
                made.left_out.append(name)
    require_cell("ablate", options.reference, made.cells)
    return made


def as_it_is(variant: Variant) -> Sized:
    """The size that a plain sweep says."""
    if variant.knob is None or variant.amount is None:
        return Sized(variant, variant.template)
    value = int(variant.amount)
    return Sized(variant, variant.at(value), value)


def _cut(sized: Sized, options: AblateOptions) -> Iterator[tuple[str, Cell, dict[str, Any]]]:
    """Name, cell and settings with every reader, archive and way to cut the stream."""
    for reader, archive, step, in_frame in product(
        options.readers, options.archives, options.frames_per_step, options.in_frame
    ):
        cell = Cell(
            sized.memory,
            _unless_plain(options.readers[reader], ReadAll),
            _unless_plain(options.archives[archive], PlainArchive),
            step,
            in_frame,
            options.attention,
        )
        parts = [f"reads {reader}"] * (len(options.readers) > 1)
        parts += [archive] * (len(options.archives) > 1)
        parts += [f"{step} per step"] * (len(options.frames_per_step) > 1)
        parts += [in_frame] * (len(options.in_frame) > 1)
        family = ", ".join([sized.variant.name, *parts])
        settings = {"family": family, **_settings(sized, reader, archive, cell)}
        yield ", ".join([sized.variant.label, *parts]), cell, settings


def _settings(sized: Sized, reader: str, archive: str, cell: Cell) -> dict[str, Any]:
    """Columns of a table."""
    variant, knob = sized.variant, sized.variant.knob
    return {
        "memory": variant.memory,
        "wrapper": variant.wrapper,
        "amount": variant.amount,
        "wanted": sized.wanted,
        "attained": sized.attained,
        "sized_by": knob.name if knob else None,
        "size": sized.value,
        "reader": reader,
        "archive": archive,
        "frames_per_step": cell.frames_per_step,
        "in_frame": cell.in_frame,
        "rule": repr(cell.memory),
        "innermost": type(innermost(cell.memory)).__name__,
    }


def _unless_plain(rule: Reader | Archive | None, plain: type[Reader] | type[Archive]) -> Any:
    """None for the rule that a session takes anyway, so that equal cells are equal."""
    return None if isinstance(rule, plain) else rule


def _add(made: Grid, name: str, cell: Cell, settings: dict[str, Any]) -> None:
    twin = next((other for other, known in made.cells.items() if known == cell), None)
    if twin == name:
        return
    if name in made.cells or name in made.same:
        raise ValueError(f"ablate: two different cells are called {name!r}; rename a memory")
    if twin is not None:
        made.same[name] = twin
        return
    made.cells[name] = cell
    made.settings[name] = settings
