"""The page of the testbed shows every task as it is drawn now."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossframe.experiments.publishing.testbed import KNOBS, SIDE, rule_of, sheet
from crossframe.experiments.testbed import TASKS
from crossframe.experiments.testbed.tasks import Now, Task

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", sorted(TASKS))
def test_sheets_show_what_is_drawn(name: str) -> None:
    """The pictures alone: letters depend on the fonts of a machine."""
    with Image.open(DOCS / "figures" / f"testbed_{name}.png") as shown:
        drawn, committed = (np.array(page.convert("RGB")) for page in (sheet(TASKS[name]), shown))
    assert (drawn[: SIDE + 9] == committed[: SIDE + 9]).all(), (
        "run python -m crossframe.experiments.publishing.testbed"
    )
    assert f"(figures/testbed_{name}.png)" in (DOCS / "testbed.md").read_text("utf-8")


def test_knobs_and_rules_are_told_of_every_task() -> None:
    assert set(KNOBS) == set(TASKS)
    for name, task in TASKS.items():
        assert KNOBS[name] == ", ".join(field.name for field in fields(task))
        assert rule_of(task)


def test_a_task_that_breaks_nothing_is_told() -> None:
    class Idle(Now):
        """Nothing."""

    task: Task = Idle()
    with pytest.raises(ValueError, match="the docstring of Idle does not say what it breaks"):
        rule_of(task)
