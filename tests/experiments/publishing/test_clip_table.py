"""The table of memories on clips: equal slots for all, and the controls that must stand in it."""

from pathlib import Path

import pytest

from crossframe.experiments.evidence.page import read_results
from crossframe.experiments.publishing.clip_table import LEAST, cells, main, only, readers
from crossframe.experiments.streaming.cells import require_readable
from crossframe.methods import FullMemory, IsolatedFramesMemory, ReadLastFrames
from crossframe.models import load_model

TOKENS, FRAME = 290, 9


def test_bounded_memories_hold_the_same_slots() -> None:
    for name, cell in cells(TOKENS, FRAME).items():
        label, _, size = name.partition("/")
        if not size:
            continue
        slots = int(size.split("/")[0])
        limit = cell.memory.limit(0, 4, FRAME)
        assert limit is not None
        if label == "window":
            assert slots - FRAME < limit <= max(slots, FRAME), name
        else:
            assert limit == slots, name


def test_shares_that_hold_too_little_are_left_out() -> None:
    sizes = {name.split("/")[1] for name in cells(TOKENS, FRAME) if name.startswith("statekv/")}
    assert sizes == {"14", "29", "72"}
    assert round(0.02 * TOKENS) < LEAST <= 14


def test_rules_are_chosen_by_label_and_controls_stay() -> None:
    made = cells(TOKENS, FRAME, shares=(0.1,))
    chosen = only(made, ["statekv", "random"])
    controls = [name for name in made if "/" not in name]
    assert [*chosen] == [*controls, "statekv/29", *(f"random/29/{seed}" for seed in range(3))]
    assert only(made, ()) == made
    with pytest.raises(ValueError, match="no memory is called state; there are"):
        only(made, ["state", "h2o"])


def test_controls_stand_in_the_table() -> None:
    table = cells(TOKENS, FRAME)
    assert isinstance(table["full"].memory, FullMemory)
    assert table["last frame alone"].reader == ReadLastFrames(1)
    assert table["last 4 frames alone"].reader == ReadLastFrames(4)
    assert isinstance(table["isolated"].memory, IsolatedFramesMemory)
    labels = {name.split("/")[0] for name in table}
    assert [name for name in table if name.startswith("token dropping")] == ["token dropping"]
    assert labels >= {"random", "random + 4 sinks", "sinks + recent", "window + uniform"}
    seeds = [name for name in table if name.startswith("random/29/")]
    assert len({table[name].memory for name in seeds}) == 3


def test_every_memory_written_is_read_in_every_way() -> None:
    model = load_model("crossframe/tiny-internvl3", device="cpu")
    grid = readers(TOKENS, FRAME)
    for cell in grid.values():
        if cell.reader is not None:
            require_readable(model, cell.memory, cell.reader)
    written = [name for name in grid if "×" not in name]
    assert len(grid) == 3 * len(written)


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path, frames=8, streams=4, scene=(1, 2), shares=(0.25,))
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "report.html"))
    results = read_results(tmp_path)
    assert results.length == "8 frames in scenes of 1–2"
    assert {one.label for one in results.lines} >= {"statekv", "predicted change", "isolated"}
