from pathlib import Path

import pytest

from crossframe.experiments.streaming.rule_text import (
    MEMORIES,
    MemoryDefaults,
    memories_from,
    memory_from,
)
from crossframe.framework import CrossFrameMemory
from crossframe.methods import (
    FullMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

OWN = """
from dataclasses import dataclass
from crossframe.framework import CrossFrameMemory, ScoringMemory

@dataclass(frozen=True)
class Newest(ScoringMemory):
    def score(self, slots):
        return slots.index

@dataclass(frozen=True)
class Bounded(Newest):
    capacity: int | None = 5

@dataclass(frozen=True)
class Several(CrossFrameMemory):
    parts: tuple
    def update(self, slots):
        return slots

class NoMemory:
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_memories_for_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_memories_for_test"


@pytest.mark.parametrize("name", MEMORIES)
def test_short_names_stand_for_their_classes(name: str) -> None:
    assert type(memory_from(name)) is MEMORIES[name]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("statekv", StateKVMemory(64)),
        ("statekv(8)", StateKVMemory(8)),
        (" statekv( capacity = None ) ", StateKVMemory(None)),
        ("sinks(num_sinks=2)", SinksAndRecentMemory(64, 2)),
        ("window", SlidingWindowMemory(3)),
        ("window(frames=0)", SlidingWindowMemory(0)),
        ("drop", TokenDroppingMemory(ratio=0.25)),
        ("drop(threshold=-0.5)", TokenDroppingMemory(threshold=-0.5)),
        ("drop(inner=statekv)", TokenDroppingMemory(StateKVMemory(64), ratio=0.25)),
        (
            "crossframe.methods.TokenDroppingMemory(inner=window(2), ratio=0.5, rule='random')",
            TokenDroppingMemory(SlidingWindowMemory(2), ratio=0.5, rule="random"),
        ),
        ('{"class_path": "crossframe.methods.StateKVMemory"}', StateKVMemory(64)),
        (
            '{"class_path": "crossframe.methods.SinksAndRecentMemory",'
            ' "init_args": {"capacity": 32, "num_sinks": 2}}',
            SinksAndRecentMemory(32, 2),
        ),
        (
            '{"class_path": "drop", "init_args": {"inner": {"class_path": "full"}, "ratio": 0.5}}',
            TokenDroppingMemory(FullMemory(), ratio=0.5),
        ),
    ],
)
def test_specs_are_read_and_open_settings_filled(spec: str, expected: CrossFrameMemory) -> None:
    assert memory_from(spec, MemoryDefaults(capacity=64, window=3, ratio=0.25)) == expected


def test_without_a_capacity_the_papers_is_taken_where_one_is_needed(own: str) -> None:
    assert memory_from("statekv") == StateKVMemory(4096)
    assert "capacity=5" in repr(memory_from(f"{own}.Bounded"))
    assert "capacity=9" in repr(memory_from(f"{own}.Bounded", MemoryDefaults(capacity=9)))


def test_own_classes_need_no_registration(own: str) -> None:
    memory = memory_from(f"{own}.Newest(capacity=7)")
    assert repr(memory) == "Newest(capacity=7)"


def test_memories_nest_in_lists_and_tuples(own: str) -> None:
    memory = memory_from(f"{own}.Several(parts=(full, statekv(3), [1, 'text']))")
    assert vars(memory)["parts"] == (FullMemory(), StateKVMemory(3), [1, "text"])


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("statekvv", ["'statekvv'; did you mean statekv?"]),
        ("statekvmemory", ["did you mean StateKVMemory or "]),
        ("rekv_reader", ["did you mean ReKVReader?"]),
        ("magic", ["'magic'; known are full, statekv", "my_package.MyMemory(capacity=64)"]),
        ("weight_statistic(rule=ema)", ['text values need quotes, rule="ema"']),
        ("drop(inner=statkv)", ["statkv; did you mean statekv"]),
        ("statekv(capacity=)", ["cannot be read", "name(setting=value)"]),
        ("{'class_path': 'full'}", ["not JSON"]),
        ('{"class": "full"}', ["class_path and init_args"]),
        ('{"class_path": "full", "init_args": 3}', ["init_args", "3"]),
        ("3", ["neither a name nor a class path"]),
        ("statekv(capacity=-1)", ["capacity", "-1"]),
        ("statekv(capacity=1.5)", ["capacity", "1.5"]),
        ("statekv(capcity=3)", ["capcity", "takes the settings capacity"]),
        ("full(3)", ["too many positional", "no settings"]),
        ("drop(inner=3)", ["inner must be a CrossFrameMemory", "3"]),
        ("drop(rule=evenly)", ['quotes, rule="evenly"']),
        ("statekv(capacity=2 * 3)", ["'2 * 3'", "plain value"]),
        ("nowhere.Mine", ["'nowhere'", "run from the folder"]),
        ("crossframe.methods.Mine", ["Mine", "missing", "methods"]),
        ("pathlib.Path", ["Path", "not a CrossFrameMemory", "subclasses"]),
    ],
)
def test_errors_name_value_and_remedy(spec: str, named: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        memory_from(spec)
    assert [text for text in named if text not in str(caught.value)] == []


def test_a_slip_of_the_pen_is_told_in_one_short_line() -> None:
    for spec in ("statekvv", "drop(inner=statkv)", "weight_statistic(rule=ema)"):
        with pytest.raises(ValueError, match=r"did you mean|quotes") as caught:
            memory_from(spec)
        assert len(str(caught.value)) < 160


def test_nothing_but_literals_is_evaluated(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with pytest.raises(ValueError, match="cannot import"):
        memory_from(f"statekv(capacity=__import__('os').mkdir('{target}'))")
    assert not target.exists()


def test_a_list_of_memories_keeps_its_order_and_refuses_repetition() -> None:
    made = memories_from(["window(2)", "full"])
    assert list(made.items()) == [("window(2)", SlidingWindowMemory(2)), ("full", FullMemory())]
    with pytest.raises(ValueError, match="more than once: full"):
        memories_from(["full", "window", "full"])
