"""What is given from Python loads nothing large before it is needed, and has a name."""

import subprocess
import sys

import pytest

from crossframe.experiments.notebook.given import as_cell, by_name
from crossframe.methods import RandomMemory


def test_importing_the_experiments_loads_nothing_large() -> None:
    code = "import sys, crossframe.experiments; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("one", "name"),
    [
        ("statekv", "statekv"),
        ("random(capacity=8, seed=1)", "random capacity 8 seed 1"),
        (RandomMemory(8), "RandomMemory capacity 8 seed 0"),
    ],
)
def test_names_of_cells_are_words(one: object, name: str) -> None:
    assert as_cell(one) == name


def test_what_differs_in_signs_alone_is_named_twice() -> None:
    words = "memories listed more than once: random 8; name each once"
    with pytest.raises(ValueError, match=words):
        by_name("memories", ["random(8)", "random 8"], str, as_cell)


@pytest.mark.parametrize("one", ["statekv", RandomMemory(8)], ids=repr)
def test_one_thing_may_stand_for_a_list_of_it(one: object) -> None:
    assert by_name("memories", one, str) == by_name("memories", [one], str)


@pytest.mark.parametrize("given", [RandomMemory, [RandomMemory], {"mine": RandomMemory}])
def test_a_class_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match=r"got the class RandomMemory: make an instance, Random"):
        by_name("memories", given, str)
