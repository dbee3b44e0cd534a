"""One run at a time in a folder, and only with the settings it was begun with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Any

import pytest

from crossframe.experiments.evaluation.folder import (
    cell_hashes,
    config_hash,
    run_folder,
    wait_for_others,
    write_json,
)
from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.framework import Int8Archive
from crossframe.methods import ProtectedSinks, ReadSinksAndRecent, StateKVMemory

from .conftest import held_by_another, write_rows

NOTHING: dict[str, Any] = {"cells": {}}
CONFIG: dict[str, Any] = {"cells": {"full": {"frames_per_step": 1}}, "seed": 0}


def write_a_row(folder: Path) -> None:
    (folder / "rows-0.jsonl").write_text("{}\n", "utf-8")


def test_the_hash_names_a_configuration() -> None:
    assert config_hash(CONFIG) == config_hash(json.loads(json.dumps(CONFIG)))
    assert config_hash(dict(reversed(CONFIG.items()))) == config_hash(CONFIG)
    assert config_hash({**CONFIG, "seed": 1}) != config_hash(CONFIG)
    assert len(config_hash(CONFIG)) == 12


def test_a_run_writes_its_configuration_and_is_resumed_with_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    for config in (CONFIG, {**CONFIG, "seed": 0.0}):
        with run_folder(folder, config) as written:
            assert json.loads((folder / "config.json").read_text()) == CONFIG
            assert (
                config_hash(written) == config_hash(CONFIG) != config_hash({**CONFIG, "seed": 0.0})
            )
        write_a_row(folder)


def test_a_run_without_a_row_binds_nobody(tmp_path: Path) -> None:
    changed = {**CONFIG, "seed": 1}
    for config in (CONFIG, changed):
        with run_folder(tmp_path, config) as written:
            assert written == config
    (tmp_path / "rows-0.jsonl").touch()  # opened by a run that ended before its first row
    with run_folder(tmp_path, CONFIG) as written:
        assert written == CONFIG


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    with run_folder(tmp_path, CONFIG, rank=1, world=2) as written:
        assert written == CONFIG
        assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cells": {"full": {"frames_per_step": 4}}}, "cells.full.frames_per_step was 1, is 4"),
        ({"cells": {"new": {}}}, "cells.full was {'frames_per_step': 1}, is None"),
        ({"seed": 1}, "seed was 0, is 1"),
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_changed_configuration_is_refused_with_what_changed(
    tmp_path: Path, rank: int, changes: dict[str, Any], told: str
) -> None:
    with run_folder(tmp_path, CONFIG):
        write_a_row(tmp_path)
    expected = re.escape(f"holds results of another configuration ({told}): give another")
    with pytest.raises(ValueError, match=expected):
        run_folder(tmp_path, {**CONFIG, **changes}, rank, 2).__enter__()
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG


def test_cells_may_be_added_and_then_belong_to_the_run(tmp_path: Path) -> None:
    more = {**CONFIG, "cells": {"new": {"frames_per_step": 2}, **CONFIG["cells"]}}
    write_a_row(tmp_path)
    with run_folder(tmp_path, CONFIG), run_folder(tmp_path, more, 1, 2) as written:
        assert written == more
        assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
    with run_folder(tmp_path, more):
        assert json.loads((tmp_path / "config.json").read_text()) == more
    with pytest.raises(ValueError, match=r"cells.new was .* is None"):
        run_folder(tmp_path, CONFIG).__enter__()


def test_a_cells_hash_changes_with_it_and_its_reference_but_not_with_others() -> None:
    cells = {"full": {"a": 1}, "one": {"a": 2}, "two": {"a": 3}}
    config = {"cells": cells, "reference": "full", "seed": 0}
    before = cell_hashes(config)
    assert len(set(before.values())) == 3

    def changed(**changes: Any) -> set[str]:
        after = cell_hashes({**config, **changes})
        return {name for name in cells if after[name] != before[name]}

    assert changed(cells={**cells, "three": {}}) == set()
    assert changed(cells={**cells, "one": {"a": 9}}) == {"one"}
    assert changed(cells={**cells, "full": {"a": 9}}) == set(cells)
    assert changed(seed=1) == set(cells)


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"cells')
    with pytest.raises(ValueError, match=r"config.json cannot be read .*delete it if the rows"):
        run_folder(tmp_path, CONFIG).__enter__()


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(OSError, match="run"), run_folder(tmp_path / "run", CONFIG):
        pass


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    told = r"another run is writing to .* number 0 is at work"
    with held_by_another(tmp_path, 0, 1), pytest.raises(ValueError, match=told):
        run_folder(tmp_path, NOTHING).__enter__()
    with run_folder(tmp_path, NOTHING):
        pass


@pytest.mark.parametrize("world", [1, 2])
def test_a_process_that_outlived_its_run_is_waited_for(tmp_path: Path, world: int) -> None:
    # Whatever the number of processes now: the other one would go on writing.
    told = r"another run is writing to .* number 1 is at work"
    with held_by_another(tmp_path, 1, 2), pytest.raises(ValueError, match=told):
        run_folder(tmp_path, NOTHING, world - 1, world).__enter__()
    with run_folder(tmp_path, NOTHING):
        wait_for_others(tmp_path, 2)


def test_the_first_process_waits_until_the_others_are_done_or_dead(tmp_path: Path) -> None:
    with held_by_another(tmp_path, 1, 2) as other, run_folder(tmp_path, NOTHING, 0, 2):
        Timer(0.5, other.kill).start()
        before = monotonic()
        wait_for_others(tmp_path, 2)
        assert monotonic() - before > 0.3


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_link_beside_the_file_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "config.partial").symlink_to(precious)
    with run_folder(tmp_path, CONFIG):
        pass
    assert precious.read_text() == "mine"
    assert (tmp_path / "config.partial").is_symlink()


def test_a_class_of_ours_may_have_moved_since_the_folder_was_begun(tmp_path: Path) -> None:
    def config(memory: str) -> dict[str, Any]:
        return {"cells": {"one": {"memory": {"class_path": memory, "init_args": {}}}}}

    old = config("crossframe.methods.memories.statekv.StateKVMemory")
    with run_folder(tmp_path, old):
        write_rows(tmp_path, [{"cell": "one", "question": "a"}])
    with run_folder(tmp_path, config("crossframe.methods.StateKVMemory")) as written:
        assert written == old  # so that rows keep their hashes
    for other in ("crossframe.methods.TOVAMemory", "mine.StateKVMemory"):
        with (
            pytest.raises(ValueError, match=r"memory\.class_path was"),
            run_folder(tmp_path, config(other)),
        ):
            pass


def test_a_folder_of_before_classes_had_public_homes_is_gone_on_with(
    recorded: Callable[[str], EvaluateOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows count, nothing is asked again, and other settings are noticed."""
    options = recorded("first_run")
    memory, other = (ProtectedSinks(StateKVMemory(capacity), tokens=2) for capacity in (16, 8))
    cell = Cell(memory, ReadSinksAndRecent(), Int8Archive())
    options = replace(options, cells={**options.cells, "statekv": cell})
    monkeypatch.setattr(ModelOptions, "load", None)
    found = evaluate(options)
    assert found is not None
    assert (found["questions"], found["owed"]) == (2, 0)
    for name in ("config.json", "rows-0.jsonl"):
        old = Path(__file__).with_name("first_run") / name
        assert (options.output / name).read_bytes() == old.read_bytes()
    changed = {**options.cells, "statekv": replace(cell, memory=other)}
    with pytest.raises(ValueError, match=r"inner.init_args.capacity was 16, is 8"):
        evaluate(replace(options, cells=changed))
