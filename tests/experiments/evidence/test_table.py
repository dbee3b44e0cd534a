"""Tables of a run that never was."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from crossframe.experiments.evidence.results import Results
from crossframe.experiments.evidence.table import (
    cost_table,
    prose_table,
    short_table,
    sizes_table,
    sizes_tables,
    suites_table,
)

Make = Callable[..., Results]


def cells(table, label: str) -> dict[str, str]:
    found = next(line for line in table.lines if line[0] == label)
    return dict(zip(table.heads, found, strict=True))


def test_the_short_table_says_difference_and_verdict(results: Make) -> None:
    table = short_table(results())
    assert table.heads == [
        *("memory", "prose loss", "KL to full", "KL − statekv", "verdict", "scene loss")
    ]
    assert cells(table, "full") == {
        "memory": "full", "prose loss": "2.000", "KL to full": "0.000", "KL − statekv": "",
        "verdict": "", "scene loss": "2.000",
    }  # fmt: skip
    assert cells(table, "statekv")["verdict"] == cells(table, "statekv")["KL − statekv"] == ""
    recency = cells(table, "recency")
    assert recency["verdict"] == "worse"
    mean, _, low, _, high = recency["KL − statekv"].replace("(", "( ").split()[:5]
    assert float(low) < float(mean) < float(high.rstrip(")"))
    assert "correction over the 7 rules of the column" in table.caption
    assert "within ± 10% of what the rival loses" in table.caption
    assert "Random memories are means over their seeds." in table.caption


def test_too_few_streams_get_intervals_and_no_verdicts(results: Make) -> None:
    table = short_table(results(streams=8))
    assert "verdict" not in table.heads
    assert "With 8 streams no test over 7 rules could decide" in table.caption
    assert "undecided" not in str(prose_table(results(streams=8)).lines)
    sizes = sizes_table([results((64, 128), streams=8)])
    assert "worse" not in str(sizes.lines)


def test_prose_is_compared_with_every_rival(results: Make) -> None:
    table = prose_table(results())
    rivals = ("statekv", "sinks + recent", "random + 4 sinks", "h2o")
    assert list(table.heads[4:]) == [f"KL − {rival}" for rival in rivals]
    assert cells(table, "h2o")["KL − h2o"] == ""
    assert cells(table, "h2o")["KL − statekv"].endswith(") better")
    assert cells(table, "statekv")["KL − h2o"].endswith(") worse")


def test_columns_that_a_run_lacks_are_left_out(results: Make) -> None:
    everything = suites_table(results()).heads
    assert {"copy 2 frames back", "needle, archive", "continuation KL, archive"} <= {*everything}
    assert "needle, carried" not in everything
    few = suites_table(results(suites=("prose", "scene")))
    assert list(few.heads) == [
        *("memory", "scene loss", "scene loss − statekv", "scene loss − sinks + recent"),
        "continuation KL, archive",
    ]


def test_costs_are_per_stream_and_frame(results: Make) -> None:
    found = cells(cost_table(results()), "statekv")
    assert found["state MB"] == "6.14"
    assert found["GFLOP per stream"] == "255"
    assert found["ms per frame"] == "44", "1,400 ms over 32 frames"
    assert found["slots"] == "128"


def test_sizes_are_columns_over_several_runs(results: Make) -> None:
    short, long = results((64, 128)), results((128,))
    long = replace(long, config={**long.config, "tokens": 2048})
    table = sizes_table([short, long])
    assert list(table.heads) == ["memory", "64 of 1,024", "128 of 1,024", "128 of 2,048"]
    h2o = cells(table, "h2o")
    assert h2o["64 of 1,024"].endswith(" better")
    assert float(h2o["64 of 1,024"].split()[0]) > float(h2o["128 of 1,024"].split()[0])
    assert h2o["128 of 2,048"] == h2o["128 of 1,024"]
    prose, scene = sizes_tables([short, long])
    assert prose.lines == table.lines
    assert scene.heading == "Scene loss by size"
    assert cells(scene, "full")["64 of 1,024"] == "2.000"
    assert [one.name for one in sizes_tables([results((64, 128), suites=("scene",))])] == [
        "sizes_scene"
    ]


def test_a_run_without_the_suite_is_no_column(results: Make) -> None:
    prose_alone = results((128,), suites=("prose",))
    prose_alone = replace(prose_alone, config={**prose_alone.config, "tokens": 2048})
    prose, scene = sizes_tables([results((64,)), prose_alone])
    assert list(prose.heads) == ["memory", "64 of 1,024", "128 of 2,048"]
    assert list(scene.heads) == ["memory", "64 of 1,024"]
    assert "Streams of 2,048 tokens" in prose.caption
    assert "Streams of 2,048 tokens" not in scene.caption


def test_a_table_of_several_sizes_needs_one(results: Make) -> None:
    found = results((64, 128), streams=1)
    assert len(prose_table(found, 64).lines) == 9
    with pytest.raises(ValueError, match="no memories of None slots; it has 64, 128"):
        prose_table(found)


def test_a_run_that_was_stopped_says_so(results: Make) -> None:
    found = results(streams=2)
    assert "UNFINISHED" not in prose_table(found).caption
    first = [
        row
        for row in found.rows
        if row["question"] != "needle/judge/1024/1" or row["cell"] == "full"
    ]
    stopped = Results(first, found.config)
    assert "UNFINISHED: 10 rows are owed" in prose_table(stopped).caption
    of_prose = [
        row for row in found.rows if not (row["cell"].startswith("h2o") and row["suite"] == "scene")
    ]
    caption = prose_table(replace(found, rows=of_prose)).caption
    assert "UNFINISHED" not in caption
    assert "1 of 11 cells have not been run on scene." in caption
