"""Rules as plain data, and with other parts inside."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crossframe.framework import (
    Archive,
    CPUArchive,
    CrossFrameMemory,
    FullMemory,
    Int8Archive,
    PlainArchive,
    ReadAll,
    Slots,
)
from crossframe.framework.as_data import (
    classes_of,
    describe,
    innermost,
    plain,
    public_home,
    rebuild,
    with_part,
)
from crossframe.methods import (
    ProtectedSinks,
    ReadLastFrames,
    SmoothedScore,
    StateKVMemory,
    TokenDroppingMemory,
)


class Plain(CrossFrameMemory):
    """Somebody's memory that is no dataclass."""

    def __init__(self, size: int) -> None:
        self.size = size

    def update(self, slots: Slots) -> Slots:
        return slots


@dataclass(frozen=True)
class Point:
    place: tuple[int, ...]
    path: Path
    memory: CrossFrameMemory


NESTED = ProtectedSinks(SmoothedScore(StateKVMemory(4), "ema"), tokens=2)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (NESTED, CrossFrameMemory),
        (CPUArchive(inner=Int8Archive()), Archive),
        (ReadLastFrames(2), ReadLastFrames),
    ],
)
def test_what_is_described_is_rebuilt(rule: Any, kind: type) -> None:
    assert rebuild(json.loads(json.dumps(describe(rule))), kind) == rule


def test_a_description_names_classes_by_where_users_find_them() -> None:
    assert describe(StateKVMemory(4)) == {
        "class": "crossframe.methods:StateKVMemory",
        "settings": {"capacity": 4},
    }
    assert public_home(Plain) == (__name__, "Plain")
    assert classes_of(NESTED, ReadAll()) == [
        ProtectedSinks, SmoothedScore, StateKVMemory, ReadAll
    ]  # fmt: skip


def test_settings_become_plain_data_with_their_classes() -> None:
    dropping = TokenDroppingMemory(StateKVMemory(4), ratio=0.5)
    described = plain(Point((1, 2), Path("a/b"), dropping))
    assert described["class_path"] == f"{__name__}.Point"
    memory = described["init_args"].pop("memory")["init_args"]
    assert described["init_args"] == {"place": [1, 2], "path": "a/b"}
    assert memory["inner"] == {
        "class_path": "crossframe.methods.StateKVMemory",
        "init_args": {"capacity": 4},
    }
    assert memory["ratio"] == 0.5
    assert json.loads(json.dumps(memory)) == memory
    assert plain(Plain(3)) == {"class_path": f"{__name__}.Plain", "init_args": {"size": 3}}
    assert plain(StateKVMemory) == str(StateKVMemory), "a class is no rule"


def test_the_innermost_is_behind_all_wrappers() -> None:
    assert innermost(NESTED) == StateKVMemory(4)
    assert innermost(CPUArchive(inner=Int8Archive())) == Int8Archive()
    for alone in (FullMemory(), StateKVMemory(4)):
        assert innermost(alone) is alone


def test_a_part_is_changed_wherever_it_is() -> None:
    other = with_part(NESTED, innermost(NESTED), StateKVMemory(7))
    assert other == ProtectedSinks(SmoothedScore(StateKVMemory(7), "ema"), tokens=2)
    middle = with_part(NESTED, NESTED.inner, FullMemory())
    assert middle == ProtectedSinks(FullMemory(), tokens=2)
    assert with_part(NESTED, NESTED, other) is other
    packed = CPUArchive(inner=PlainArchive())
    assert with_part(packed, packed.inner, Int8Archive()) == CPUArchive(inner=Int8Archive())


def test_what_is_around_a_part_has_to_take_it() -> None:
    with pytest.raises(ValueError, match="2 protected slots do not fit into the budget of 1"):
        with_part(NESTED, innermost(NESTED), StateKVMemory(1))
    with pytest.raises(ValueError, match=r"StateKVMemory\(capacity=4\) is not inside, where State"):
        with_part(NESTED, StateKVMemory(4), StateKVMemory(7))
