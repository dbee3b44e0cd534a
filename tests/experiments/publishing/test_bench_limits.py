"""A limit is the larger of what computing and what moving takes."""

from __future__ import annotations

import pytest
import torch

from crossframe.experiments.publishing import bench_limits
from crossframe.experiments.publishing.bench_limits import Limits, limits_of


def test_the_slower_of_products_and_copies_limits() -> None:
    limits = Limits(flops=2e9, bandwidth=1e9)
    assert limits.milliseconds(4e6, 1e6) == pytest.approx(2)
    assert limits.milliseconds(4e6, 3e6) == pytest.approx(3)
    assert limits.share(4e6, taken=8) == pytest.approx(0.25)


def test_limits_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_limits, "SIDES", {"cpu": (8, 16)})
    monkeypatch.setattr(bench_limits, "COPIED", {"cpu": 1 << 12})
    taken = iter([4.0, 2.0, 8.0, 8.0, 0.5] + [1.0] * 5)
    monkeypatch.setattr(bench_limits, "milliseconds", lambda run, device: (run(), next(taken))[1])
    measured = limits_of(torch.device("cpu"), torch.float32)
    assert measured() == Limits(2 * 16**3 / 8e-3, 2 * 4096 / 0.5e-3)
    assert measured().bandwidth == 2 * 4096 / 1e-3
