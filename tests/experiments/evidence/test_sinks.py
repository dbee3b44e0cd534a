"""Shares of the mass that first tokens draw, on slots small enough to count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossframe.experiments.evidence import sinks
from crossframe.experiments.evidence.sinks import SinkShares, shares_table
from crossframe.framework import Slots
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2


def slots_of(mass: list[float], layer: int = 0) -> Slots:
    count = len(mass)
    index = torch.arange(count).expand(1, 1, -1)
    values = torch.ones(1, 1, count, 4)
    values[..., 0, :] = 3
    return Slots(
        keys=values,
        values=values,
        index=index,
        frame=index,
        visual=index >= 0,
        positions=index[None],
        mass=torch.tensor(mass)[None, None],
        num_new=1,
        layer=layer,
        num_layers=2,
    )


def test_shares_are_of_all_mass_and_start_where_enough_has_passed() -> None:
    shares = SinkShares(skipped=36)
    shares(slots_of([9.0] + [1.0] * 35))  # as many as are skipped
    shares(slots_of([4.0, 1.0, 0.0, 0.0, 2.0] + [0.0] * 31 + [1.0]))
    shares(slots_of([2.0, 1.0, 0.0, 0.0, 4.0] + [0.0] * 31 + [1.0]))
    (row,) = shares.rows()
    assert [row[f"token {n}"] for n in range(4)] == pytest.approx([3 / 8, 1 / 8, 0, 0])
    assert row["strongest other"] == pytest.approx((2 / 8 + 4 / 8) / 2)
    assert (row["value norm of token 0"], row["median value norm"]) == (6.0, 2.0)


def test_the_frame_itself_is_no_sink() -> None:
    shares = SinkShares(skipped=0)
    shares(slots_of([1.0] * 5 + [0.0] * 31 + [5.0]))
    assert shares.rows()[0]["strongest other"] == pytest.approx(1 / 10)


def test_layers_come_in_their_order() -> None:
    shares = SinkShares(skipped=0)
    for layer in (1, 0):
        shares(slots_of([1.0] * 40, layer))
    assert [row["layer"] for row in shares.rows()] == [0, 1]


def test_a_model_that_reads_no_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sinks, "load_model", lambda name: object())
    with pytest.raises(SystemExit, match="x is not a text decoder: give a GGUF file or smollm2"):
        sinks.main(tmp_path / "out.json", model="x")


def test_both_streams_are_written_with_where_they_were_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decoder = DecoderModel(tiny_qwen2())
    monkeypatch.setattr(sinks, "load_model", lambda name: decoder)
    monkeypatch.setattr(
        sinks, "sink_shares", lambda model, streams, tokens: [{"start": model is decoder}]
    )
    sinks.main(tmp_path / "out.json")
    told = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert told["rows"]["with a start token"] == [{"start": True}]
    assert told["rows"]["without one"] == [{"start": False}]
    assert {"cpu", "torch", "commit", "dtype"} <= told["environment"].keys()
    assert told["settings"] == {"streams": 8, "tokens": 1024}


def test_the_table_takes_means_over_groups_of_layers() -> None:
    def row(layer: int, share: float) -> dict[str, float]:
        return {
            "layer": layer,
            "token 0": share,
            "token 1": 0.01,
            "strongest other": 0.02,
            "value norm of token 0": 1.0,
            "median value norm": 4.0,
        }

    with_start = [row(layer, 0.1 * layer) for layer in range(8)]
    without = [row(layer, 0.5) for layer in range(8)]
    heads, cells = shares_table({"rows": {"with": with_start, "without": without}})
    assert heads[:3] == ["layers", "first token, with", "first token, without"]
    assert cells == [
        ["0–5", "25.0%", "50.0%", "1.0%", "2.0%", "1.0 / 4.0"],
        ["6–7", "65.0%", "50.0%", "1.0%", "2.0%", "1.0 / 4.0"],
    ]
