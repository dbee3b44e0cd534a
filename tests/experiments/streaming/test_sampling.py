"""Which moments of a video are shown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossframe.experiments.streaming.sampling import FrameSampling


def test_centres_are_the_middles_of_equal_parts() -> None:
    assert FrameSampling(1.0, 512).times(4.9) == pytest.approx([0.6125, 1.8375, 3.0625, 4.2875])
    assert FrameSampling(1.0, 2).times(8.0) == [2.0, 6.0]
    assert FrameSampling(1.0, 512).times(0.4) == [0.2]


def test_centres_of_a_stretch_lie_inside_it() -> None:
    assert FrameSampling(0.5, 512).times(100.0, start=10.0, end=14.0) == [11.0, 13.0]


def test_from_the_start_an_earlier_end_gives_a_prefix() -> None:
    sampling = FrameSampling(2.0, 512, "start")
    assert sampling.times(9.0, end=1.6) == [0.0, 0.5, 1.0, 1.5]
    assert sampling.times(9.0)[:4] == sampling.times(9.0, end=1.6)


def test_from_the_start_past_the_cap_falls_back_to_centres() -> None:
    assert FrameSampling(1.0, 4, "start").times(8.0) == [1.0, 3.0, 5.0, 7.0]


@given(
    seconds=st.floats(0.1, 5000),
    fps=st.floats(0.1, 30),
    most=st.integers(1, 600),
    rule=st.sampled_from(["centres", "start"]),
)
def test_times_rise_inside_the_video_and_keep_the_cap(
    seconds: float, fps: float, most: int, rule: str
) -> None:
    sampling = FrameSampling(fps, most, rule)
    times, rate = sampling.times(seconds), sampling.rate(seconds)
    assert 1 <= len(times) <= most
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < seconds + 1e-9
    for one, following in pairwise(times):
        assert (following - one) * rate == pytest.approx(1.0, rel=1e-6)


def test_the_rate_is_that_of_the_stretch() -> None:
    assert FrameSampling(1.0, 512).rate(4.9) == pytest.approx(4 / 4.9)
    assert FrameSampling(1.0, 2).rate(8.0) == 0.25
    assert FrameSampling(2.0, 64, "start").rate(9.0, end=0.3) == 2.0  # also of a single frame
    assert FrameSampling(1.0, 4, "start").rate(8.0) == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 0.0}, "fps must be a number above 0, got 0.0"),
        ({"max_frames": 0}, "max_frames must be at least 1, got 0"),
        ({"rule": "middle"}, "rule must be one of .'centres', 'start'., got 'middle'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrameSampling(**settings)  # pyright: ignore[reportArgumentType]


def test_a_stretch_behind_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to see from 12 s to 10 s of a video of 10 s"):
        FrameSampling().times(10.0, start=12.0, end=20.0)
