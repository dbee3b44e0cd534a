"""What the kit says of a broken law: short, with all that is needed to look into it."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    FrameTokens,
    PlainArchive,
    ReadAll,
    ScoringMemory,
    Slots,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing import (
    ARCHIVE_LAWS,
    LAWS,
    READER_LAWS,
    LawBroken,
    check_archive_law,
    check_law,
    check_memory,
    check_reader_law,
    eventful_stream,
    seeded_stream,
    streams,
)
from crossframe.framework.testing.failures import LOOK_AT

from .test_kit import AddingToState, Newest

KINDS = {"LAWS": LAWS, "ARCHIVE_LAWS": ARCHIVE_LAWS, "READER_LAWS": READER_LAWS}


class RunningMean(Newest):
    """A correct memory that keeps a running mean, as the guide invites to."""

    def score(self, slots: Slots) -> Tensor:
        new = slots.keys[:, :, -slots.num_new :].mean(2, keepdim=True)
        mean = slots.state.get("mean", new).lerp(new, 0.1)
        slots.state["mean"] = mean
        return (slots.keys - mean).norm(dim=-1)


class Overfull(Newest):
    """Keeps all, whatever it promises."""

    def update(self, slots: Slots) -> Slots:
        return slots


class ScalingKeys(Newest):
    def update(self, slots: Slots) -> Slots:
        kept = super().update(slots)
        return replace(kept, keys=kept.keys * 1.5)


class AddingKeysToState(Newest):
    """The same, under a new name each time."""

    def score(self, slots: Slots) -> Tensor:
        slots.state[f"step {len(slots.state)}"] = slots.keys[:, :, -1:].clone()
        return slots.index


class AddingToAdmission(Newest):
    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        state["means"] = torch.cat([state.get("means", torch.zeros(0)), frame.embeds.mean()[None]])
        return frame


class Window(Newest):
    """A state that is full only after eighty tokens."""

    def score(self, slots: Slots) -> Tensor:
        before = slots.state.get("recent", slots.keys[:, :, :0])
        recent = torch.cat([before, slots.keys[:, :, -slots.num_new :]], 2)
        slots.state["recent"] = recent[:, :, -80:].clone()
        return slots.index


class Raising(Newest):
    def score(self, slots: Slots) -> Tensor:
        raise ZeroDivisionError("of my own")


def broken(memory: ScoringMemory, law: str, shrink: bool = True) -> LawBroken:
    with pytest.raises(LawBroken) as caught:
        check_law(law, memory, max_examples=3, shrink=shrink)
    return caught.value


@pytest.mark.parametrize("max_examples", [1, 2])
def test_a_running_mean_in_state_passes_however_many_examples(max_examples: int) -> None:
    check_memory(RunningMean(), unbounded=RunningMean(None), max_examples=max_examples)


def test_a_failure_says_law_memory_stream_and_where_to_look() -> None:
    said = str(broken(ScalingKeys(), "4 positions"))
    for expected in (
        "law 4: keys of layer 0 were modified",
        "memory = ScalingKeys(capacity=4)",
        "model = ReferenceDecoder(sizes=DecoderSpec(num_layers=1",
        "stream = seeded_stream(model, [1], [1], seed=0)",
        'again: LAWS["4 positions"](memory, stream)',
        "look at what changes keys",
    ):
        assert expected in said
    assert "tensor(" not in said


def test_a_failure_takes_less_than_twenty_lines_with_its_traceback() -> None:
    for memory, law in ((ScalingKeys(), "4 positions"), (AddingToState(), "7 state")):
        lines = "".join(traceback.format_exception(broken(memory, law, shrink=False)))
        assert len(lines.splitlines()) < 20


def test_what_a_failure_says_breaks_the_law_again() -> None:
    model = ReferenceDecoder(sizes=replace(ReferenceDecoder().sizes, num_layers=1))
    with pytest.raises(LawBroken, match="law 4: keys of layer 0"):
        LAWS["4 positions"](ScalingKeys(), seeded_stream(model, [1], [1], seed=0))


def test_a_stream_is_named_by_the_call_that_makes_it_again() -> None:
    import hypothesis

    made = hypothesis.find(streams(), lambda stream: len(stream.frames) > 2)
    again = eval(repr(made), {"seeded_stream": seeded_stream, "model": made.model})
    assert again.pushes == made.pushes
    for one, other in zip(again.frames, made.frames, strict=True):
        assert torch.equal(one.embeds, other.embeds)
    assert repr(eventful_stream(1)) == "eventful_stream(1)"
    assert repr(eventful_stream().having(frames_per_step=1)).endswith(".having(frames_per_step=1)")


def test_an_error_of_the_memory_passes_as_it_is_and_names_the_stream() -> None:
    with pytest.raises(ZeroDivisionError, match="of my own") as caught:
        check_law("3 selection", Raising(), max_examples=1)
    (note,) = caught.value.__notes__
    assert 'LAWS["3 selection"](memory=Raising(capacity=4), stream=eventful_stream(2))' in note


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ("statekv", "memory must be an instance of CrossFrameMemory, got 'statekv'"),
        (Newest, "got the class Newest: make an instance"),
        (Overfull(), "^Overfull returned for layer 0 8 slots per KV head, but promised at most 4"),
    ],
)
def test_what_no_session_takes_is_told_by_its_own_name(memory: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_memory(memory)


@pytest.mark.parametrize("memory", [AddingToState(), AddingKeysToState(), AddingToAdmission()])
def test_a_state_that_grows_for_ever_is_rejected(memory: ScoringMemory) -> None:
    said = str(broken(memory, "7 state"))
    assert "law 7: state grew from" in said
    assert "over the last 128 of 256 steps" in said


@pytest.mark.parametrize("memory", [RunningMean(), Window()])
def test_a_state_that_stops_growing_passes(memory: ScoringMemory) -> None:
    check_law("7 state", memory, max_examples=1)


def test_a_state_may_grow_where_nothing_is_promised() -> None:
    check_law("7 state", AddingToState(None), max_examples=1)


def test_archives_and_readers_are_told_of_alike() -> None:
    class Doubling(PlainArchive):
        def unpack(self, packed: object) -> tuple[Tensor, Tensor]:
            keys, values = super().unpack(packed)  # type: ignore[arg-type]
            return torch.cat([keys, keys], 2), torch.cat([values, values], 2)

    with pytest.raises(LawBroken, match=r"archive = .*Doubling[^$]*memory = [^$]*ARCHIVE_LAWS"):
        check_archive_law("tokens", Doubling(), max_examples=1, shrink=False)

    class Short(ReadAll):
        def reach(self, carried: int | None, frame_tokens: int) -> int | None:
            return 1

    with pytest.raises(LawBroken, match=r"reader = [^$]*READER_LAWS"):
        check_reader_law("reach", Short(), max_examples=1, shrink=False)


def test_every_law_says_where_to_look() -> None:
    assert {name for laws in KINDS.values() for name in laws} == set(LOOK_AT)
