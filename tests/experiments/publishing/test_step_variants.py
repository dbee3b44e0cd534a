"""What takes turns in the bench of a step, and what memory has no room for."""

from __future__ import annotations

import pytest
import torch

from crossframe.experiments.publishing import benches
from crossframe.experiments.publishing.built_streams import Past
from crossframe.experiments.publishing.step_variants import fitting, variants, whole_frames
from crossframe.models import DecoderModel
from crossframe.models.tiny.qwen2 import tiny_qwen2

MODEL = DecoderModel(tiny_qwen2())
CPU = torch.device("cpu")


def test_capacities_become_whole_frames() -> None:
    assert [whole_frames(n, 259) for n in (1, 256, 1024, 4096, 16384)] == [1, 1, 4, 16, 63]


def test_every_variant_carries_what_it_is_named_for() -> None:
    made = {one.name: one for one in variants(MODEL, Past(10, 6), [2, 20])}
    assert {name: one.slots for name, one in made.items()} == {
        "stock": 60,
        "full": 60,
        "statekv(12)": 12,
        "window(2)": 12,
        "statekv(120)": 60,
        "window(20)": 60,
    }
    assert made["stock"].prepare()() is None
    for name in made.keys() - {"stock"}:
        attention = 4 * 6 * (made[name].slots + 6) * 64 * MODEL.spec.num_layers
        for _ in range(2):  # the second starts where the first did
            cost = made[name].prepare()()
            assert cost is not None
            assert cost.flops == 12 * MODEL.spec.linear_parameters + attention


def test_what_does_not_fit_is_left_out_by_name_with_its_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = variants(MODEL, Past(1000, 6), [2])
    monkeypatch.setattr(benches, "free_bytes", lambda place: every[0].num_bytes)
    chosen, lacking = fitting(every, CPU)
    assert [one.name for one in chosen] == ["statekv(12)", "window(2)"]
    assert [lack.variant.name for lack in lacking] == ["stock", "full"]
    assert "GB, of 0.0 GB that are free 80% may be taken" in lacking[0].reason
    monkeypatch.setattr(benches, "free_bytes", lambda place: None)
    assert fitting(every, CPU) == (every, [])
