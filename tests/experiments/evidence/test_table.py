"""The table of a run: means over tokens, differences over streams."""

from typing import Any

import pytest

from crossframe.experiments.evidence.table import evidence_table, paired, stream_means

COSTS = {"decoder_flops": 3_400_000_000, "state_bytes": 2_500_000}


def row(
    cell: str, seed: int, suite: str = "prose", **measures: tuple[float, int]
) -> dict[str, Any]:
    groups = {
        name: {"loss": loss, "kl": loss / 10, "agreement": 1.0, "count": count}
        for name, (loss, count) in measures.items()
    }
    question = f"{suite}/search/1024/{seed}"
    return {"cell": cell, "suite": suite, "question": question, "groups": groups, **COSTS}


ROWS = [
    *(row("a", seed, near=(1.0 + seed, 3), far=(5.0 + seed, 1)) for seed in range(4)),
    *(row("b", seed, near=(2.0 + seed, 3), far=(8.0 + seed, 1)) for seed in range(4)),
    *(row(cell, 0, "scene", near=(2.0, 2)) for cell in "ab"),
]


def test_a_streams_mean_counts_every_token_once() -> None:
    means = stream_means(ROWS, "a", "prose", "loss")
    assert means == {f"prose/search/1024/{seed}": 2.0 + seed for seed in range(4)}


def test_differences_are_taken_stream_by_stream() -> None:
    mean, low, high = paired(ROWS, "b", "a", "prose", "loss")
    assert (mean, low, high) == pytest.approx((1.5, 1.5, 1.5)), "the same in every stream"
    uneven = [*ROWS, row("b", 9, near=(0.0, 1)), row("a", 9, near=(4.0, 1))]
    mean, low, high = paired(uneven, "b", "a", "prose", "loss")
    assert mean == pytest.approx((4 * 1.5 - 4) / 5)
    assert low < mean < high


def test_streams_that_only_one_has_are_left_out() -> None:
    more = [*ROWS, row("a", 7, near=(100.0, 1))]
    assert paired(more, "b", "a", "prose", "loss")[0] == pytest.approx(1.5)
    with pytest.raises(ValueError, match="b and c have no prose stream in common: run both"):
        paired(ROWS, "b", "c", "prose", "loss")


def test_the_table_compares_with_every_rival_but_itself() -> None:
    heads, cells = evidence_table(ROWS, ["a", "b"], ["a"])
    assert heads == [
        "memory",
        "prose loss",
        "KL to full",
        "KL − a's",
        "scene loss",
        "GFLOP",
        "state",
    ]
    assert cells == [
        ["a", "3.500", "0.350", "", "2.000", "3", "2.5 MB"],
        ["b", "5.000", "0.500", "+0.150 (+0.150 to +0.150)", "2.000", "3", "2.5 MB"],
    ]
