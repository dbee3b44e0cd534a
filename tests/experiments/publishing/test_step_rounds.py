"""Turns of the bench of a step: which count, who takes part, and what a row makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from crossframe.experiments.publishing import step_rounds
from crossframe.experiments.publishing.bench_limits import Limits
from crossframe.experiments.publishing.step_rounds import Taken, rounds_of, rows_of, step_bytes
from crossframe.experiments.publishing.step_variants import STOCK_BACKEND, Push, Variant
from crossframe.models import DecoderModel
from crossframe.models.tiny.qwen2 import tiny_qwen2

MODEL = DecoderModel(tiny_qwen2())
CPU = torch.device("cpu")
LIMITS = Limits(1e9, 1e9)


def variant(name: str, prepare: object = None) -> Variant:
    def nothing() -> Push:
        return lambda: None

    return Variant(name, 12, 6, 0, prepare or nothing)  # pyright: ignore[reportArgumentType]


def in_turn(monkeypatch: pytest.MonkeyPatch, *taken: float) -> None:
    times: Iterator[float] = iter(taken)
    monkeypatch.setattr(step_rounds, "milliseconds", lambda run, device: (run(), next(times))[1])


def test_a_slow_variant_takes_one_turn_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_turn(monkeypatch, 3000, 10, 11, 12)
    rounds, lacking = rounds_of([variant("stock"), variant("full")], CPU, lambda: LIMITS, 2, 1.0)
    assert [{name: one.ms for name, one in turn.items()} for turn in rounds] == [
        {"stock": 3000, "full": 10},
        {"full": 11},
        {"full": 12},
    ]
    assert not lacking


def test_a_variant_that_memory_runs_out_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Push:
        raise torch.OutOfMemoryError("tried to allocate 5 GiB\nfurther lines")

    in_turn(monkeypatch, 1, 2)
    every = [variant("full", full), variant("stock")]
    rounds, (lack,) = rounds_of(every, CPU, lambda: LIMITS, 1, 60)
    assert (lack.variant.name, lack.reason) == ("full", "memory ran out: tried to allocate 5 GiB")
    assert [row["variant"] for row in rows_of(rounds, every, MODEL)] == ["stock"]


def test_a_row_has_medians_of_turns_that_count_and_ratios_within_a_round() -> None:
    def turn(stock: float, statekv: float, window: float) -> dict[str, Taken]:
        times = {"stock": stock, "statekv(12)": statekv, "window(2)": window}
        return {name: Taken(ms, LIMITS, None) for name, ms in times.items()}

    rounds = [turn(100, 1, 1), turn(2, 1, 1), turn(40, 10, 5), turn(8, 6, 2)]
    stock, statekv, window = rows_of(rounds, [*map(variant, rounds[0])], MODEL)
    assert (stock["ms"], statekv["ms"], stock["turns"]) == (8, 6, 3)
    assert (statekv["to_stock"], statekv["to_window"], statekv["to_full"]) == (0.5, 2, None)
    assert (stock["to_stock"], stock["to_window"], window["to_window"]) == (1, None, None)
    assert stock["backend"] == STOCK_BACKEND
    flops = 12 * MODEL.spec.linear_parameters + 4 * 6 * 18 * 64 * MODEL.spec.num_layers
    assert stock["gflop"] == round(flops / 1e9, 2)
    needed = step_bytes(MODEL, 12, 6)
    kept = MODEL.spec.kv_bytes_per_token(4) * 18
    assert needed == 4 * MODEL.spec.linear_parameters + kept
    assert stock["limit_ms"] == round(max(flops, needed) / 1e6, 3) > 0
    assert stock["to_limit"] == pytest.approx(8 / (max(flops, needed) / 1e6), abs=1e-3)
