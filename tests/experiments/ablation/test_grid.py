"""Cells of a study: named readably, each run once."""

import pytest

from crossframe.experiments.ablation.grid import Grid, as_it_is, grid
from crossframe.experiments.ablation.options import AblateOptions
from crossframe.experiments.ablation.variants import variants
from crossframe.framework import FullMemory, Int8Archive, NoArchive, PlainArchive, ReadAll
from crossframe.methods import IsolatedFramesMemory, ReadCarried, SlidingWindowMemory, StateKVMemory

from .conftest import MakeOptions


def swept(options: AblateOptions) -> Grid:
    return grid(options, map(as_it_is, variants(options)))


def test_names_tell_what_varies_and_nothing_else(make_options: MakeOptions) -> None:
    plain = swept(make_options(capacities=(16, 32)))
    assert list(plain.cells) == ["full", "statekv 16", "statekv 32"]
    varied = swept(
        make_options(
            capacities=(16,),
            readers={"all": None, "carried": ReadCarried()},
            archives={"plain": None, "int8": Int8Archive()},
            frames_per_step=(1, 4),
            in_frame=("causal", "bidirectional"),
        )
    )
    assert len(varied.cells) == 1 + 2**4
    name = "statekv 16, reads carried, int8, 4 per step, bidirectional"
    cell = varied.cells[name]
    assert (cell.reader, cell.archive) == (ReadCarried(), Int8Archive())
    assert (cell.frames_per_step, cell.in_frame) == (4, "bidirectional")
    assert varied.settings[name]["family"] == name.replace(" 16", "")


def test_the_same_cell_is_run_once(make_options: MakeOptions) -> None:
    made = swept(
        make_options(
            memories={"statekv": StateKVMemory(None), "full": FullMemory()},
            fixed={"paper": StateKVMemory(4096), "exact": FullMemory()},
            capacities=(16, 4096),
            readers={"all": None, "whole": ReadAll()},
            archives={"plain": None, "as is": PlainArchive()},
        )
    )
    assert list(made.cells) == [
        "full",
        "paper, reads all, plain",
        "statekv 16, reads all, plain",
    ]
    assert made.same["exact, reads all, plain"] == "full"
    assert made.same["full, reads whole, as is"] == "full"
    assert made.same["statekv 4096, reads whole, plain"] == "paper, reads all, plain"


def test_a_memory_that_carries_nothing_is_not_read_for_what_it_carries(
    make_options: MakeOptions,
) -> None:
    options = make_options(
        fixed={"isolated": IsolatedFramesMemory()},
        capacities=(16,),
        readers={"all": None, "carried": ReadCarried()},
    )
    made = swept(options)
    assert made.left_out == ["isolated, reads carried"]
    assert [name for name in made.cells if "isolated" in name] == ["isolated, reads all"]
    assert "statekv 16, reads carried" in made.cells


def test_an_archive_that_keeps_nothing_is_not_read(make_options: MakeOptions) -> None:
    options = make_options(
        capacities=(16,),
        readers={"all": None, "carried": ReadCarried()},
        archives={"plain": None, "none": NoArchive()},
    )
    made = swept(options)
    assert made.left_out == ["statekv 16, reads all, none"]
    assert "statekv 16, reads carried, none" in made.cells


def test_full_attention_is_not_multiplied_over_capacities(make_options: MakeOptions) -> None:
    memories = {"full": FullMemory(), "statekv": StateKVMemory(None)}
    made = swept(make_options(memories=memories, capacities=(8, 16, 32)))
    assert list(made.cells) == ["full", "statekv 8", "statekv 16", "statekv 32"]


def test_settings_are_columns(make_options: MakeOptions) -> None:
    options = make_options(
        memories={"statekv": StateKVMemory(None), "window": SlidingWindowMemory(None)},
        capacities=(16,),
        windows=(2,),
    )
    made = swept(options)
    assert made.cells["window 2"].memory == SlidingWindowMemory(2)
    columns = ("memory", "amount", "sized_by", "size", "rule")
    told = {name: tuple(made.settings[name][c] for c in columns) for name in made.cells}
    assert told == {
        "full": ("full", None, None, None, "FullMemory()"),
        "statekv 16": ("statekv", 16, "capacity", 16, "StateKVMemory(capacity=16)"),
        "window 2": ("window", 2, "frames", 2, "SlidingWindowMemory(frames=2)"),
    }


def test_cells_make_options_of_an_evaluation(make_options: MakeOptions) -> None:
    options = make_options(capacities=(16,), seed=3, limit=2, cells_at_once=1)
    made = swept(options)
    asked = options.evaluation("tiny", made.cells)
    assert (asked.seed, asked.limit, asked.cells_at_once) == (3, 2, 1)
    assert list(asked.cells) == ["full", "statekv 16"]
    assert (asked.output, asked.reference) == (options.output / "tiny", "full")


def test_two_cells_of_one_name_are_refused(make_options: MakeOptions) -> None:
    options = make_options(fixed={"full": StateKVMemory(8)})
    with pytest.raises(ValueError, match="two different cells are called 'full'"):
        swept(options)


def test_an_unknown_reference_is_refused(make_options: MakeOptions) -> None:
    with pytest.raises(ValueError, match="reference 'exact' is no cell; cells are statekv"):
        swept(make_options(reference="exact"))
    assert list(swept(make_options(reference=None)).cells) == ["statekv"]
    assert list(swept(make_options(reference="statekv")).cells) == ["statekv"]
