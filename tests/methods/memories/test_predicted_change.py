"""Predicted change against plain loops: what is predicted, what is learned, and from what."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch

from crossframe.framework.testing import check_memory
from crossframe.methods import AdaptiveHeadBudgets, PredictedChangeMemory

from ..loops import moved

DECAY, FORGET, CAPACITY, SINKS = 0.8, 0.95, 9, 2
BELIEF = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a system of equations by elimination."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    count = len(rows)
    for step in range(count):
        pivot = max(range(step, count), key=lambda n: abs(rows[n][step]))
        rows[step], rows[pivot] = rows[pivot], rows[step]
        for n in range(count):
            if n != step:
                factor = rows[n][step] / rows[step][step]
                rows[n] = [a - factor * b for a, b in zip(rows[n], rows[step], strict=True)]
    return [rows[n][count] / rows[n][n] for n in range(count)]


class Loops:
    """The rule in lists and floats; one head of one row and layer after the other."""

    def __init__(self, statistic: str) -> None:
        self.statistic = statistic
        # Told apart by layer, head and the order of rows within a step.
        self.learned: dict[tuple[int, ...], list[tuple[list[float], float, int]]] = {}
        self.calls: dict[int, int] = defaultdict(int)

    def __call__(self, heads) -> list[list[int]]:
        layer = heads[0].layer
        call = self.calls[layer]
        self.calls[layer] += 1
        return [self.keep(head, (layer, head.head, call % 2), call // 2) for head in heads]

    def keep(self, head, key: tuple[int, ...], step: int) -> list[int]:
        values = [slot.value for slot in head.slots]
        rows = [row for group in head.weights for row in group]
        if self.statistic == "mass":
            summed = [sum(row[n] for row in rows) for n in range(len(values))]
        else:
            summed = [sum(moved(row, n, values) for row in rows) for n in range(len(values))]
        roots = [math.sqrt(value) for value in summed]
        mean = sum(roots) / len(roots)
        learned = self.learned.setdefault(key, [])
        for slot, root in zip(head.slots, roots, strict=True):
            if slot.notes:
                learned.append((self.features(slot.notes), root / mean, step))
        weights = self.fit(learned, step)
        scores = []
        for slot, root in zip(head.slots, roots, strict=True):
            notes = slot.notes
            notes["change"] = root / mean
            notes["peak"] = max(notes["change"], DECAY * notes.get("peak", 0.0))
            notes["steps"] = notes.get("steps", 0) + 1
            score = sum(w * x for w, x in zip(weights, self.features(notes), strict=True))
            scores.append(math.inf if slot.number < SINKS else score)
        ranked = sorted(range(len(scores)), key=lambda n: (scores[n], n))
        return ranked[max(0, len(ranked) - CAPACITY) :]

    def features(self, notes: dict[str, float]) -> list[float]:
        new = float(notes["steps"] == 1)
        change = notes["change"]
        return [change, notes["peak"], 1.0, 1 / notes["steps"], new * change, new]

    def fit(self, learned, now: int) -> list[float]:
        places = range(len(BELIEF))
        matrix = [[float(i == j) for j in places] for i in places]
        right = list(BELIEF)
        for features, target, step in learned:
            weight = FORGET ** (now - step)
            for i in places:
                right[i] += weight * features[i] * target
                for j in places:
                    matrix[i][j] += weight * features[i] * features[j]
        return solved(matrix, right)


@pytest.mark.parametrize("statistic", ["output_change", "mass"])
def test_kept_slots_equal_the_oracle(equals_loops, statistic: str) -> None:
    memory = PredictedChangeMemory(CAPACITY, statistic, SINKS, DECAY, FORGET)
    equals_loops(memory, Loops(statistic), sizes=[3, 5, 2, 6, 1, 4, 6, 3, 5, 2, 4, 1, 6, 6, 3])


@pytest.mark.parametrize("statistic", ["output_change", "mass", "max", "squares"])
def test_every_law_holds(statistic: str) -> None:
    unbounded = PredictedChangeMemory(None, statistic)
    check_memory(PredictedChangeMemory(8, statistic), unbounded=unbounded, max_examples=2)


def test_every_law_holds_where_heads_differ_in_length() -> None:
    check_memory(AdaptiveHeadBudgets(PredictedChangeMemory(8)), max_examples=1)


def test_it_learns_that_what_was_strong_does_not_return(frames, open_session) -> None:
    session = open_session(PredictedChangeMemory(None, num_sinks=0))
    for frame in frames(*[6] * 30):
        session.push(frame)
    slots = session.slots(1)
    equations = slots.state["predicted_equations"]
    assert equations.shape == (1, 2, 6, 7)
    products, targets = equations[..., :6], equations[..., 6:]
    weights = torch.linalg.solve(products + torch.eye(6), targets + torch.eye(6)[:, :1])
    # Random queries: what drew attention once is no promise, so that the belief of 1 gives way.
    assert float(weights[:, :, 0].abs().max()) < 0.9


def test_what_is_learned_does_not_grow(frames, open_session) -> None:
    session = open_session(PredictedChangeMemory(8))
    held = []
    for frame in frames(*[4] * 40):
        session.push(frame)
        held.append(session.state_bytes)
    assert len(set(held[5:])) == 1
