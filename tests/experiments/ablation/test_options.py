"""What a study refuses before anything is loaded."""

import pytest

from crossframe.experiments.ablation.options import Budget, chosen_models
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.methods import ReadCarried, SlidingWindowMemory, StateKVMemory

from .conftest import MakeOptions

TWO = {"a": ModelOptions("x"), "b": ModelOptions("y")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": {}}, "models must name at least one"),
        ({"memories": {}}, "the grid is empty; name memories"),
        ({"attention": "flash"}, r"attention must be one of \('auto', .*, got 'flash'"),
        ({"in_frame": ()}, "in_frame is empty, and so is the grid"),
        ({"readers": {}}, "readers is empty"),
        ({"capacities": (16, 16)}, "capacities names 16 more than once"),
        ({"capacities": (16,), "budget": Budget("slots", (16,))}, "either a budget, or capacities"),
        ({"budget": Budget("slots", (16, 16))}, "budget.amounts names 16 more than once"),
        ({"fixed": {"statekv": StateKVMemory(8)}}, "statekv named under memories and under fixed"),
        ({"models": TWO, "only": "a, c"}, "only names 'c', but models are a, b"),
        ({"models": {"a/b": ModelOptions("x")}}, "models has the name 'a/b'"),
        ({"readers": {"": ReadCarried()}}, "readers has the name ''"),
        ({"models": {"a": ModelOptions("x", device="cuda")}}, "model.device is 'cuda'"),
        ({"limit": 0}, "limit must be an integer of at least 1"),
        ({"extrapolate": 1}, "extrapolate must be an integer of at least 2"),
    ],
)
def test_bad_settings(make_options: MakeOptions, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_options(**changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"match": "tokens", "amounts": (1,)}, "must be one of 'slots', 'bytes', 'flops'"),
        ({"match": "slots", "amounts": ()}, "amounts must name at least one"),
        ({"match": "slots", "amounts": (4, -1)}, "amounts must be above 0, got -1"),
        ({"match": "slots", "amounts": (4,), "tolerance": 1.0}, r"tolerance must lie in \[0, 1\)"),
        ({"match": "slots", "amounts": (4,), "frames": 1}, "frames must be an integer of at least"),
        (
            {"match": "bytes", "amounts": (0.5,), "like": SlidingWindowMemory(1)},
            "amounts are capacities and must be whole",
        ),
    ],
)
def test_bad_budgets(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**settings)  # pyright: ignore[reportArgumentType]


def test_only_some_models_run_now(make_options: MakeOptions) -> None:
    assert list(chosen_models(make_options(models=TWO))) == ["a", "b"]
    assert list(chosen_models(make_options(models=TWO, only="b"))) == ["b"]
