"""Settings that cannot work are refused where a memory or reader is made, by name and remedy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    AdaptiveHeadBudgets,
    CausalityCorrected,
    ContiguousPositions,
    CoverageMemory,
    H2OMemory,
    InfiniPotVMemory,
    LagKVMemory,
    LayerBudgets,
    MergedEvictions,
    PredictedChangeMemory,
    ProtectedRecent,
    ProtectedSinks,
    PyramidBudgets,
    QueryRows,
    RandomMemory,
    ReadLastFrames,
    ReadSinksAndRecent,
    RecencyMemory,
    ReKVReader,
    ReservoirMemory,
    SimpleStream,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    SmoothedScore,
    SnapKVMemory,
    StateKVMemory,
    StreamMemMemory,
    TokenDroppingMemory,
    TOVAMemory,
    UniformMemory,
    WeightStatisticMemory,
)

NAN, INF = float("nan"), float("inf")
LAST_ROW, MERGED = QueryRows(StateKVMemory(5), "last"), MergedEvictions(StateKVMemory(4), 0.5)
SHARED = LayerBudgets(RecencyMemory(5), (2, 1))
SMOOTHED = SmoothedScore(StateKVMemory(5), "sum")

# What each message says behind the name of the class: after a colon, or going on with a space.
REFUSED: dict[Callable[..., object], list[tuple[dict[str, Any], str]]] = {
    CoverageMemory: [({"capacity": -1}, "capacity must be .* got -1")],
    partial(H2OMemory, 5): [
        ({"recent": 6}, "recent=6 do not fit into capacity=5; raise capacity or lower recent"),
        ({"recent": -1}, "recent must be an integer of at least 0"),
        ({"normalise": "mean"}, r"normalise must be one of \('none', 'age'\), got 'mean'"),
    ],
    InfiniPotVMemory: [
        ({"capacity": -1}, "capacity must be an integer of at least 0.*got -1"),
        ({"capacity": 4, "recent_ratio": 1.5}, r"recent_ratio is a share .*\[0, 1\], got 1.5"),
        ({"capacity": 4, "tar_share": -0.1}, r"tar_share is a share .*\[0, 1\], got -0.1"),
        ({"capacity": 4, "tar_share": NAN}, r"tar_share is a share .*got nan"),
    ],
    partial(LagKVMemory, 8): [
        ({"lag": 1}, "lag must be an integer of at least 2, got 1"),
        ({"num_sinks": -1}, "num_sinks must be an integer of at least 0, got -1"),
        ({"num_sinks": 9}, "num_sinks=9 do not fit into capacity=8; raise capacity or lower num_"),
    ],
    partial(PredictedChangeMemory, 8): [
        ({"statistic": "sum"}, r"statistic must be one of \('mass', 'max', .*\), got 'sum'"),
        ({"num_sinks": 9}, "num_sinks=9 do not fit into capacity=8"),
        ({"num_sinks": -1}, "num_sinks must be an integer of at least 0, got -1"),
        ({"decay": 1.0}, r"decay must lie in \[0, 1\), got 1.0"),
        ({"forget": 0.0}, r"forget must lie in \(0, 1\], got 0.0"),
    ],
    partial(SinksAndRecentMemory, 3): [
        ({}, "num_sinks=4 do not fit into capacity=3; raise capacity"),
        ({"num_sinks": -1}, "num_sinks must be an integer of at least 0, got -1"),
        ({"num_sinks": 1, "positions": "shrink"}, r"positions must be one of \('kept', 'con.*got"),
    ],
    SlidingWindowMemory: [
        ({"frames": frames}, "frames must be an integer of at least 0.*got")
        for frames in (-1, 2.5, True, "3")
    ],
    partial(SnapKVMemory, 5): [
        ({"observation_window": 5}, "observation_window=5 leaves no slot of capacity=5 to choose"),
        ({"observation_window": 0}, "observation_window must be an integer of at least 1"),
        ({"observation_window": 2, "kernel": 4}, "kernel must be odd"),
        ({"observation_window": 2, "kernel": -1}, "kernel must be an integer of at least 1"),
        ({"observation_window": 2, "pooling": "mean"}, r"pooling must be one of .*, got 'mean'"),
    ],
    StreamMemMemory: [
        ({"capacity": -1}, "capacity must be an integer of at least 0"),
        ({"capacity": 4, "probe_ids": ()}, "probe_ids must hold at least one token; None takes"),
        ({"capacity": 4, "probe_ids": (3, -1)}, "probe_ids must be an integer .* 0, got -1"),
        ({"capacity": 4, "probe_ids": (1.5,)}, "probe_ids must be an integer .* got 1.5"),
    ],
    partial(TOVAMemory, 5): [
        ({"rows": rows}, "rows must be an integer of at least 1, got") for rows in (0, None, 1.5)
    ],
    partial(UniformMemory, 5): [
        ({"unit": "patch"}, r"unit must be one of \('frame', 'token'\), got 'patch'")
    ],
    partial(WeightStatisticMemory, 5): [
        ({"statistic": "mean"}, r"statistic must be one of \('sum', 'max', .*\), got 'mean'"),
        ({"heads": "all"}, r"heads must be one of \('group', 'group_max', 'layer'\), got 'all'"),
    ],
    **{
        partial(kind, 5): [
            ({"seed": seed}, "seed must be an integer of at least 0")
            for seed in (-1, 0.5, None, "7")
        ]
        for kind in (RandomMemory, ReservoirMemory)
    },
    # Wrappers
    partial(AdaptiveHeadBudgets, StateKVMemory(5)): [
        *(
            ({"floor": floor}, r"floor is a share and must lie in \[0, 1\], got")
            for floor in (-0.1, 1.5, NAN)
        ),
        ({"rule": "adakv"}, r"rule must be one of \('ada-kv', 'kvpress'\), got 'adakv'"),
    ],
    AdaptiveHeadBudgets: [
        ({"inner": inner}, " chooses slots itself, but .* change positions outs")
        for inner in (
            AdaptiveHeadBudgets(StateKVMemory(5)),
            SinksAndRecentMemory(5, positions="contiguous"),
        )
    ],
    CausalityCorrected: [
        ({"inner": inner}, " changes the attention mass .* wrap a")
        for inner in (RecencyMemory(5), TOVAMemory(5), LAST_ROW)
    ],
    ContiguousPositions: [
        ({"inner": MERGED}, ".* merges slots and places them itself; wrap a memory"),
        (
            {"inner": StateKVMemory(4), "max_reach": 0},
            "max_reach must be an integer of at least 1, or None",
        ),
    ],
    partial(LayerBudgets, RecencyMemory(5)): [
        ({"shares": shares}, "shares must be positive numbers, at least")
        for shares in ((), (1.0, 0.0), (1.0, -2.0), (NAN,), (INF,))
    ],
    partial(LayerBudgets, shares=(1,)): [
        ({"inner": SlidingWindowMemory(2)}, " changes how slots are ranked, but Sliding")
    ],
    partial(MergedEvictions, threshold=0.5): [
        ({"inner": StreamMemMemory(4, (1,))}, ".* merges slots itself; wrap a memory that only"),
        ({"inner": StateKVMemory}, "inner must be a CrossFrameMemory inst"),
        ({"inner": None}, "inner must be a CrossFrameMemory inst"),
    ],
    partial(MergedEvictions, StateKVMemory(4)): [
        ({"threshold": threshold}, r"threshold is a cosine and must lie in \[-1, 1\], got")
        for threshold in (-1.1, 1.01, NAN, True)
    ],
    ProtectedRecent: [
        ({"inner": StateKVMemory(4), "tokens": 9}, "9 protected slots do not fit"),
        ({"inner": StateKVMemory(4)}, " protects nothing: give one of tokens, f"),
    ],
    ProtectedSinks: [
        ({"inner": StateKVMemory(4)}, " protects nothing: give one of tokens, frames, prompt"),
        ({"inner": MERGED, "tokens": 2}, ".* merges slots, which cannot be joined"),
        (
            {"inner": StateKVMemory(4), "tokens": 5},
            ".* budget of 4 in one layer; raise the capacity of StateKV",
        ),
        (
            {"inner": ProtectedRecent(StateKVMemory(5), tokens=3), "tokens": 3},
            "6 protected slots do not fit into the budget of 5",
        ),
    ],
    partial(PyramidBudgets, RecencyMemory(5)): [
        ({"beta": 0}, "beta must be an integer of at least 1"),
        ({"beta": 1.5}, "beta must be an integer of at least 1"),
        ({"reserved": -1}, "reserved must be an integer of at least 0"),
        ({"rule": "release"}, r"rule must be one of \('paper', 'released'\), got 'release'"),
    ],
    partial(PyramidBudgets, ProtectedSinks(SHARED, tokens=1)): [
        ({}, ".* is shared out already; do so once")
    ],
    partial(QueryRows, StateKVMemory(5)): [
        ({"rows": rows}, "rows must be .*, got") for rows in ("first", 0, -1, 2.5, None, True)
    ],
    partial(QueryRows, rows="last"): [
        ({"inner": inner}, " changes the attention weights of a step, but")
        for inner in (RecencyMemory(5), LAST_ROW)
    ],
    partial(SmoothedScore, StateKVMemory(5)): [
        ({"rule": "median"}, r"rule must be one of \('sum', 'mean', .*\), got 'median'"),
        ({"rule": "ema", "decay": 1.0}, r"decay must lie in \[0, 1\), got 1.0"),
        ({"rule": "ema", "decay": -0.1}, r"decay must lie in \[0, 1\), got -0.1"),
    ],
    partial(SmoothedScore, ProtectedSinks(SMOOTHED, tokens=1), "mean"): [
        ({}, ".* is smoothed already; smooth it once")
    ],
    TokenDroppingMemory: [
        ({}, "give either ratio or threshold"),
        ({"ratio": 0.5, "threshold": 0.5}, "give either ratio or threshold"),
        ({"ratio": 1.0}, r"ratio must lie in \[0, 1\), got 1.0"),
        ({"ratio": -0.1}, r"ratio must lie in \[0, 1\), got -0.1"),
        ({"threshold": 1.5}, r"threshold is a cosine in \[-1, 1\].*1.5"),
        ({"threshold": 0.5, "rule": "random"}, ".* needs rule='cosine'"),
        ({"ratio": 0.5, "rule": "often"}, "rule must be one of .* got 'often'"),
        ({"ratio": 0.5, "inner": RecencyMemory}, "inner must be a CrossFrameMemory instance"),
    ],
    # Readers and the stream without a session
    ReKVReader: [
        ({"blocks": 0}, "blocks must be an integer of at least 1, got 0"),
        ({"block_frames": 1.5}, "block_frames must be an integer of at least 1, got 1.5"),
        ({"positions": "fresh"}, r"positions must be one of \('contiguous', 'kept'\), got 'fresh'"),
    ],
    ReadLastFrames: [({"frames": 0}, "frames must be an integer of at least 1")],
    ReadSinksAndRecent: [
        ({"num_sinks": 0, "recent": 0}, "num_sinks=0 and recent=0 leave nothing to read; raise"),
        ({"num_sinks": -1, "recent": 4}, "num_sinks must be an integer of at least 0, got -1"),
        ({"num_sinks": 4, "recent": None}, "recent must be an integer of at least 0, got None"),
    ],
    partial(SimpleStream, ReferenceDecoder()): [
        ({"frames": 0}, "frames must be an integer of at least 1")
    ],
}


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [(make, *row) for make, rows in REFUSED.items() for row in rows],
)
def test_settings_that_cannot_work_are_refused(make, settings, message: str) -> None:
    name, gap = getattr(make, "func", make).__name__, "" if message[0] == " " else ": "
    with pytest.raises(ValueError, match=f"^{name}{gap}{message}"):
        make(**settings)
