"""Memories, wrappers and amounts of a study."""

from dataclasses import dataclass

import pytest

from crossframe.experiments.ablation.options import Budget
from crossframe.experiments.ablation.variants import knob_of, variants
from crossframe.experiments.reports.text import short
from crossframe.framework import CrossFrameMemory, FullMemory, Slots
from crossframe.methods import (
    CausalityCorrected,
    IsolatedFramesMemory,
    KeyDiffMemory,
    ProtectedSinks,
    SlidingWindowMemory,
    SmoothedScore,
    SnapKVMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from .conftest import MakeOptions

SINKS = {"class_path": "ProtectedSinks", "init_args": {"tokens": 4}}


@dataclass(frozen=True)
class Halves(CrossFrameMemory):
    """Somebody's memory with a capacity, and no ScoringMemory."""

    capacity: int

    def update(self, slots: Slots) -> Slots:
        return slots


@pytest.mark.parametrize(
    ("memory", "name", "resized"),
    [
        (StateKVMemory(None), "capacity", StateKVMemory(7)),
        (
            ProtectedSinks(SmoothedScore(StateKVMemory(64), "ema"), tokens=4),
            "capacity",
            ProtectedSinks(SmoothedScore(StateKVMemory(7), "ema"), tokens=4),
        ),
        (
            TokenDroppingMemory(StateKVMemory(None), ratio=0.5),
            "capacity",
            TokenDroppingMemory(StateKVMemory(7), ratio=0.5),
        ),
        (SlidingWindowMemory(None), "frames", SlidingWindowMemory(7)),
        (
            ProtectedSinks(SlidingWindowMemory(None), tokens=4),
            "frames",
            ProtectedSinks(SlidingWindowMemory(7), tokens=4),
        ),
        (Halves(3), "capacity", Halves(7)),
    ],
)
def test_the_size_is_found_and_set_wherever_it_is(
    memory: CrossFrameMemory, name: str, resized: CrossFrameMemory
) -> None:
    knob = knob_of(memory)
    assert knob is not None
    assert knob.name == name
    assert knob.set(memory, 7) == resized


def test_dropping_alone_is_sized_by_its_ratio() -> None:
    memory = TokenDroppingMemory(ratio=0.5)
    knob = knob_of(memory)
    assert knob is not None
    assert knob.name == "ratio"
    assert knob.set(memory, 0.25) == TokenDroppingMemory(ratio=0.25)


@pytest.mark.parametrize(
    "memory", [FullMemory(), IsolatedFramesMemory(), TokenDroppingMemory(threshold=0.9)]
)
def test_some_memories_have_no_size(memory: CrossFrameMemory) -> None:
    assert knob_of(memory) is None


def test_every_memory_with_every_wrapper_and_amount(make_options: MakeOptions) -> None:
    options = make_options(
        memories={"statekv": StateKVMemory(None), "full": FullMemory()},
        fixed={"isolated": IsolatedFramesMemory()},
        wrappers={"bare": None, "sinks": SINKS},
        capacities=(16, 32),
    )
    found = {one.label: one for one in variants(options)}
    assert list(found) == [
        "isolated",
        "statekv 16",
        "statekv 32",
        "statekv+sinks 16",
        "statekv+sinks 32",
        "full",  # neither sized nor wrapped, once
    ]
    sized = found["statekv+sinks 32"].at(32)
    assert sized == ProtectedSinks(StateKVMemory(32), tokens=4)


def test_wrappers_nest_as_class_paths(make_options: MakeOptions) -> None:
    inner = {"class_path": "SmoothedScore", "init_args": {"rule": "ema"}}
    nested = {"class_path": "ProtectedSinks", "init_args": {"tokens": 4, "inner": inner}}
    options = make_options(wrappers={"both": nested}, capacities=(16,))
    (found,) = variants(options)
    expected = ProtectedSinks(SmoothedScore(StateKVMemory(None), "ema"), tokens=4)
    assert found.template == expected


def test_without_sizes_memories_stay_as_they_are(make_options: MakeOptions) -> None:
    (found,) = variants(make_options(memories={"mine": StateKVMemory(48)}))
    assert (found.label, found.template, found.amount) == ("mine", StateKVMemory(48), None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"memories": {"alone": IsolatedFramesMemory()}, "capacities": (16,)},
            r"alone, IsolatedFramesMemory\(\), has no capacity, window or ratio .* under fixed",
        ),
        (
            {"memories": {"alone": IsolatedFramesMemory()}, "budget": Budget("slots", (16,))},
            "has no capacity, window or ratio",
        ),
        (
            {"memories": {"window": SlidingWindowMemory(None)}, "capacities": (16,)},
            "is sized by its frames: give windows too, or list it under fixed",
        ),
        (
            {
                "memories": {"window": SlidingWindowMemory(None)},
                "wrappers": {"corrected": {"class_path": "CausalityCorrected"}},
            },
            "wrapper 'corrected' cannot go around 'window': CausalityCorrected changes how slots",
        ),
        (
            {
                "memories": {"keydiff": KeyDiffMemory(None)},
                "wrappers": {"corrected": {"class_path": "CausalityCorrected"}},
            },
            "cannot go around 'keydiff': CausalityCorrected .*mass",
        ),
        ({"wrappers": {"odd": {"class_path": "NoSuchThing"}}}, "wrapper 'odd': no memory"),
        (
            {"wrappers": {"odd": {"class_path": "ProtectedSinks", "init_args": {"sinks": 4}}}},
            "wrapper 'odd': ProtectedSinks: .*'sinks'",
        ),
        (
            {
                "memories": {"a": StateKVMemory(1), "a+s": StateKVMemory(2)},
                "wrappers": {"": None, "s": SINKS},
                "capacities": (16,),  # whatever the memories say themselves
            },
            r"two memories are called 'a\+s 16'",
        ),
    ],
)
def test_what_cannot_be(
    make_options: MakeOptions, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        variants(make_options(**changes))


def test_a_size_that_the_memory_refuses_is_told_with_its_reason(
    make_options: MakeOptions,
) -> None:
    options = make_options(memories={"snapkv": SnapKVMemory(None)}, capacities=(16,))
    (found,) = variants(options)
    with pytest.raises(ValueError, match=r"snapkv 16 cannot have capacity=16: .*lower observation"):
        found.at(16)


def test_the_wrappers_of_the_brief_take_statekv(make_options: MakeOptions) -> None:
    options = make_options(
        wrappers={
            name: {"class_path": name, "init_args": settings}
            for name, settings in {
                "CausalityCorrected": {},
                "ValueWeighted": {},
                "SmoothedScore": {"rule": "mean"},
                "ProtectedSinks": {"tokens": 4},
                "ProtectedRecent": {"frames": 1},
                "PyramidBudgets": {},
                "AdaptiveHeadBudgets": {},
                "MergedEvictions": {"threshold": 0.8},
                "TokenDroppingMemory": {"ratio": 0.5},
                "ContiguousPositions": {},
            }.items()
        }
    )
    found = variants(options)
    assert len(found) == 10
    assert isinstance(found[0].template, CausalityCorrected)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(16, "16"), (4096, "4096"), (1.5e6, "1.5M"), (2.5e12, "2.5T"), (2e5, "200k")],
)
def test_amounts_are_short(amount: float, said: str) -> None:
    assert short(amount) == said
