"""Mistakes of the first hour: each is told at once, with what to write instead."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    ScoringMemory,
    Slots,
    VideoSession,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import ReadCarried, StateKVMemory

MODEL = ReferenceDecoder()
Score = Callable[[Any], Any]


@dataclass(frozen=True)
class Scoring(ScoringMemory):
    """Scores by what it is given."""

    by: Score = lambda slots: slots.index

    def score(self, slots: Slots) -> Tensor:
        return self.by(slots)


@dataclass(frozen=True)
class Updating(CrossFrameMemory):
    by: Score = lambda slots: slots

    def update(self, slots: Slots) -> Slots:
        return self.by(slots)


@dataclass(frozen=True)
class Noting(CrossFrameMemory):
    """Notes a number beside the tensors of `admit`."""

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Any]
    ) -> FrameTokens:
        state["frames"] = 1
        return frame

    def update(self, slots: Slots) -> Slots:
        return slots


def push(memory: CrossFrameMemory) -> VideoSession:
    session = VideoSession(MODEL, memory)
    session.push(torch.zeros(2, 4, 4, 3, dtype=torch.uint8))
    return session


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (torch.nn.Linear(2, 2), r"takes a VideoModel, got a Linear: .* InternVL3\(model, proc"),
        ("OpenGVLab/InternVL3-1B-hf", r"VideoModel, got 'OpenGVLab/.*load_model\(name\)"),
        (ReferenceDecoder, "VideoModel, got the class ReferenceDecoder"),
    ],
)
def test_what_is_no_adapter_is_refused(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoSession(model, FullMemory())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "statekv"}, r"memory .* CrossFrameMemory, got 'statekv': .*StateKVMemory\("),
        (
            {"memory": StateKVMemory},
            r"the class StateKVMemory: .* of it, StateKVMemory\(\.\.\.",
        ),
        ({"memory": None}, "memory must be an instance of CrossFrameMemory, got None"),
        ({"memory": ReadCarried()}, "got a ReadCarried"),
        ({"reader": ReadCarried}, r"reader .* got the class ReadCarried: .* ReadCarried\(\.\.\.\)"),
        ({"archive": "int8"}, r"archive .* Archive, got 'int8': .* Int8Archive\(\)"),
    ],
)
def test_strings_and_classes_instead_of_rules_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        VideoSession(MODEL, **{"memory": FullMemory(), **options})


@pytest.mark.parametrize(
    "memory",
    [
        Scoring(4, lambda slots: slots.mass),
        Scoring(4, lambda slots: slots.mass * 2),
        Scoring(4, lambda slots: slots.mass.log()),
        Updating(lambda slots: slots.keep(slots.mass > 0)),
    ],
)
def test_a_mass_that_was_not_asked_for_is_told(memory: CrossFrameMemory) -> None:
    with pytest.raises(ValueError, match=r"slots.mass.* is None .*needs_mass = True"):
        push(memory)


def test_other_errors_of_a_memory_pass_as_they_are() -> None:
    with pytest.raises(AttributeError, match="'Slots' object has no attribute 'weights'"):
        push(Scoring(4, lambda slots: slots.weights))


@pytest.mark.parametrize(
    ("by", "got"),
    [
        (lambda slots: slots.keys.norm(dim=-1).mean(1), r"shape \(1, 5\)"),  # [B, S]
        (lambda slots: slots.keys, r"shape \(1, 2, 5, 8\)"),
        (lambda slots: slots.index.sum(-1), r"shape \(1, 2\)"),
        (lambda slots: 3, "a int"),
        (lambda slots: slots.keys.norm(dim=-1).numpy(), "a ndarray"),
        (lambda slots: None, "None"),
    ],
)
def test_a_score_of_another_shape_is_refused(by: Score, got: str) -> None:
    with pytest.raises(ValueError, match=rf"Scoring.score returned {got}, not .*\(1, 2, 5\)"):
        push(Scoring(4, by))


@dataclass(frozen=True)
class Forgetful(ScoringMemory):
    """Reads the mass and returns nothing."""

    needs_mass = True

    def score(self, slots: Slots) -> Tensor:  # type: ignore[reportReturnType]
        assert slots.mass is not None


def test_a_score_without_a_return_is_told() -> None:
    with pytest.raises(
        ValueError, match=r"returned None, not .* = \(1, 2, 5\): is a return missing\?$"
    ):
        push(Forgetful(4))


@pytest.mark.parametrize("capacity", [2, None])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (1, 2, 4)])
def test_a_stat_that_has_not_one_number_a_slot_is_refused(
    shape: tuple[int, ...], capacity: int | None
) -> None:
    def score(slots: Slots) -> Tensor:
        slots.stats["age"] = torch.zeros(shape)
        return slots.index

    said = re.escape(f"Scoring put shape {shape} into slots.stats['age'], not")
    with pytest.raises(ValueError, match=said):
        push(Scoring(capacity, score))


def put(where: str) -> Score:
    def score(slots: Slots) -> Tensor:
        vars(slots)[where]["seen"] = [1, 2]
        return slots.index

    return score


@pytest.mark.parametrize("where", ["state", "stats"])
@pytest.mark.parametrize("capacity", [2, None])
def test_a_list_beside_the_slots_is_refused(where: str, capacity: int | None) -> None:
    said = rf"Scoring put a list into slots.{where}\['seen'\]: only tensors"
    with pytest.raises(ValueError, match=said):
        push(Scoring(capacity, put(where)))


def test_a_number_in_the_state_of_admit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Noting put a int into the state of admit\['frames'\]"):
        push(Noting())


def test_an_update_that_returns_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="Updating returned None for layer 0, not Slots"):
        push(Updating(lambda slots: None))
