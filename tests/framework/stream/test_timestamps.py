"""Timestamps from users: every usual kind becomes seconds, everything else is refused by text."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from crossframe.framework.stream.timestamps import as_timestamps, in_order


def test_every_frame_has_its_timestamp() -> None:
    assert as_timestamps(None, 2) == [None, None]
    assert as_timestamps([None, 1], 2) == [None, 1.0]
    assert as_timestamps(1.5, 1) == [1.5]
    assert as_timestamps(torch.tensor(1.5), 1) == [1.5]  # pyright: ignore[reportArgumentType]
    for given in ([0.0, 0.5], (0, 0.5), np.array([0, 0.5], np.float32), torch.tensor([0, 0.5])):
        times = as_timestamps(given, 2)  # pyright: ignore[reportArgumentType]
        assert times == [0.0, 0.5]
        assert {type(time) for time in times} == {float}


@pytest.mark.parametrize(("times", "count"), [([0.0], 2), ([0.0, 1.0], 1), (3, 2), ([], 1)])
def test_another_number_of_timestamps_is_refused(times: list[float], count: int) -> None:
    given = 1 if times == 3 else len(times)
    with pytest.raises(ValueError, match=f"{count} frames came with {given} timestamps"):
        as_timestamps(times, count)


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2.0**54, "1.8014398509481984e"),
        (10**400, "int 1000"),
        (2j, "2j"),
        (np.complex64(1), "complex"),
        ("1.5", "'1.5'"),
        (True, "True"),
        ([1.5], "list"),
        (torch.tensor([1.5]), r"Tensor of shape \(1,\)"),
        (torch.tensor(1.5, device="meta"), r"Tensor of shape \(\)"),
    ],
)
def test_what_is_no_finite_number_is_refused_and_shown(time: Any, shown: str) -> None:
    message = f"a timestamp is a finite number of seconds, got .*{shown}.*: give one number"
    with pytest.raises(ValueError, match=message):
        as_timestamps([0.0, time], 2)


def test_times_may_stand_still_and_never_run_backwards() -> None:
    assert in_order(None, [None, 1.0, None, 1.0, 2.0]) == 2.0
    assert in_order(2.0, [None, None]) == 2.0
    with pytest.raises(
        ValueError, match=r"run backwards: 1\.5 s after 2 s; push frames in the ord"
    ):
        in_order(1.0, [2.0, None, 1.5])
    with pytest.raises(ValueError, match="0 s after 1 s"):
        in_order(1.0, [0.0])
