"""When questions are asked: at times drawn alike, or at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .lessons import TimedQuestion
from .past import Past
from .tasks import Task
from .truth import Truth

Asked = list[tuple[Task, TimedQuestion]]
# How often a task is tried at other times before it is passed over.
_TRIES = 4


def ask_at_times(
    tasks: Sequence[Task], truth: Truth, every: int, count: int, rng: np.random.Generator
) -> Asked:
    """Up to `count` different questions of tasks drawn alike, each at a frame drawn alike that ends
    a step; by rising frame."""
    asked: Asked = []
    said = set[tuple[str, int]]()
    for _ in range(count):
        task = tasks[int(rng.integers(len(tasks)))]
        for step in rng.integers(0, truth.frames // every, _TRIES).tolist():
            question = task.ask(Past(truth, (step + 1) * every - 1), rng)
            if question is not None and (question.text, question.frame) not in said:
                said.add((question.text, question.frame))
                asked.append((task, question))
                break
    return sorted(asked, key=lambda pair: pair[1].frame)


def ask_at_end(tasks: Sequence[Task], truth: Truth, rng: np.random.Generator) -> Asked:
    """One question of every task that has a fair one after the last frame."""
    past = Past(truth, truth.frames - 1)
    asked = ((task, task.ask(past, rng)) for task in tasks)
    return [(task, question) for task, question in asked if question is not None]
