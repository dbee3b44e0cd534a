"""Lines and sizes out of cells, values per stream out of rows."""

from collections.abc import Callable
from statistics import fmean

import pytest

from crossframe.experiments.evidence.comparisons import against, decidable, lost, rivals_in
from crossframe.experiments.evidence.measures import (
    AGREEMENT,
    CONTINUATION,
    COPIES,
    NEEDLE,
    NEEDLE_CARRIED,
    PROSE_KL,
    PROSE_LOSS,
    grouped,
)
from crossframe.experiments.evidence.results import Line, Results

Make = Callable[..., Results]


def line(results: Results, label: str) -> Line:
    return next(one for one in results.lines if one.label == label)


def test_cells_that_differ_in_their_seed_are_one_line(results: Make) -> None:
    found = results((64, 128), streams=3)
    random = [one for one in found.lines if one.label == "random + 4 sinks"]
    assert [len(one.cells) for one in random] == [3, 3]
    assert [one.capacity for one in random] == [64, 128]
    each = [found.table(PROSE_KL)[cell] for cell in random[0].cells]
    stream = "prose/judge/1024/1"
    assert found.values(random[0], PROSE_KL)[stream] == fmean(one[stream] for one in each)
    assert len({one[stream] for one in each}) == 3, "or there is nothing to average"


def test_a_memory_goes_with_the_size_of_statekv_that_holds_as_much(results: Make) -> None:
    sizes = results((64, 128, 256), streams=1).by_size()
    assert list(sizes) == [64, 128, 256]
    for size in (64, 128, 256):
        lines = sizes[size]
        labels = [one.label for one in lines]
        assert len(labels) == len(set(labels)) == 9, "windows too, which count in frames"
        assert {"full", "isolated"} <= set(labels), "at every size"
        held = {one.state_bytes for one in lines if one.label in ("statekv", "window", "h2o")}
        assert held == {48_000 * size}


def test_without_statekv_all_go_together(results: Make) -> None:
    found = results((64, 128), streams=1)
    rows = [row for row in found.rows if not row["cell"].startswith("statekv")]
    without = Results(rows, found.config)
    assert without.by_size() == {None: without.lines}
    assert [one.label for one in rivals_in(without.lines)] == [
        *("sinks + recent", "random + 4 sinks", "h2o")
    ]


def test_cells_without_rows_are_left_out(results: Make) -> None:
    found = results(streams=1)
    rows = [row for row in found.rows if row["cell"] != "h2o/128"]
    assert "h2o" not in [one.label for one in Results(rows, found.config).lines]


def test_values_are_means_over_tokens_of_what_a_row_has() -> None:
    groups = {
        "2 frames": {"loss": 1.0, "count": 3},
        "4 frames": {"loss": 5.0, "count": 1},
    }
    row = {"groups": groups, "needles_right_archive": [True, False, False, True]}
    assert grouped("loss")(row) == 2.0
    assert grouped("loss", "4 frames")(row) == 5.0
    assert grouped("loss", "8 frames")(row) is None
    assert NEEDLE.of(row) == 0.5
    assert NEEDLE_CARRIED.of(row) is None
    assert CONTINUATION.of({"groups": {}, "continuation_kl_archive": 0}) == 0.0


def test_measures_that_no_row_has_are_known(results: Make) -> None:
    found = results(streams=1, suites=("prose",))
    assert found.has(PROSE_LOSS)
    assert found.has(CONTINUATION)
    assert not found.has(COPIES[0])
    assert not found.has(NEEDLE)


def test_differences_are_taken_on_streams_in_common(results: Make) -> None:
    found = results(streams=4)
    extra = [
        {**found.rows[0], "cell": cell, "question": f"prose/judge/1024/{9 + place}"}
        for place, cell in enumerate(("h2o/128", "statekv/128"))
    ]
    for one in (found, Results([*found.rows, *extra], found.config)):
        got = against(one, one.lines, line(one, "statekv"), PROSE_KL)[line(one, "h2o")]
        ours, theirs = (found.values(line(found, name), PROSE_KL) for name in ("h2o", "statekv"))
        assert got.streams == 4
        assert got.mean == pytest.approx(ours.mean() - theirs.mean())


def test_neither_the_rival_nor_full_attention_is_compared(results: Make) -> None:
    found = results()
    statekv = line(found, "statekv")
    compared = against(found, found.lines, statekv, PROSE_KL)
    assert {one.label for one in compared} == {one.label for one in found.lines} - {
        *("full", "statekv")
    }
    assert compared[line(found, "h2o")].verdict == "better"
    assert compared[line(found, "tova")].verdict == "equivalent"
    assert compared[line(found, "recency")].verdict == "worse"
    agreement = against(found, found.lines, statekv, AGREEMENT)
    assert agreement[line(found, "h2o")].verdict == "better", "where more is better"
    assert agreement[line(found, "recency")].verdict == "worse"


def test_margins_are_a_tenth_of_what_the_rival_loses(results: Make) -> None:
    found = results()
    statekv, full = line(found, "statekv"), line(found, "full")
    loss = [found.values(one, PROSE_LOSS).mean() for one in (statekv, full)]
    assert lost(found, statekv, PROSE_LOSS) == pytest.approx(loss[0] - loss[1])
    compared = against(found, found.lines, statekv, PROSE_LOSS)
    for one in compared.values():
        assert one.margin == pytest.approx((loss[0] - loss[1]) / 10)
    assert lost(found, full, PROSE_LOSS) == 0
    agreement = found.values(statekv, AGREEMENT).mean()
    assert lost(found, statekv, AGREEMENT) == pytest.approx(1 - agreement) != 0


def test_few_streams_decide_nothing(results: Make) -> None:
    few, enough = results(streams=8), results(streams=9)
    assert not decidable(few, few.lines, PROSE_KL), "8 rules, 2/2^8 each"
    assert decidable(enough, enough.lines, PROSE_KL)
