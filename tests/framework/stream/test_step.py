"""The closed form of a step's cost, for every implementation of attention; what a step leaves."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from crossframe.framework import (
    CrossFrameMemory,
    ScoringMemory,
    Slots,
    VideoModel,
    VideoSession,
)
from crossframe.framework.attention.attend import BACKENDS, CHOICES
from crossframe.framework.attention.backend import Inputs
from crossframe.framework.attention.reductions import WeightReductions
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import RecencyMemory, StateKVMemory, WeightStatisticMemory

from ..streams import frames


@dataclass(frozen=True)
class Probing(ScoringMemory):
    """Ranks by what a text attends to."""

    def probe(self, model: VideoModel) -> Tensor | None:
        return torch.tensor([[3, 0, 7]])

    def score(self, slots: Slots) -> Tensor:
        assert slots.probe_mass is not None
        return slots.probe_mass


CHANGES = WeightStatisticMemory(6, "output_change")


def flex_is_counted() -> bool:
    """Whether torch's counter sees into flex attention; that of 2.11 ends in a TypeError."""
    some = torch.zeros(1, 1, 1, 16)
    try:
        with flop_counter() as counter:
            flex_attention(some, some, some)
    except TypeError:
        return False
    return counter.get_total_flops() > 0


@pytest.mark.parametrize("attention", CHOICES)
@pytest.mark.parametrize(
    "memory", [StateKVMemory(6), RecencyMemory(6), CHANGES, Probing(6)], ids=repr
)
def test_the_stated_flops_are_the_counted_ones(memory: CrossFrameMemory, attention: str) -> None:
    if attention == "flex" and not flex_is_counted():
        pytest.skip("this torch's FLOP counter does not see into flex attention")
    session = VideoSession(ReferenceDecoder(), memory, attention=attention)
    for frame in frames(*[4] * 4, batch=2):
        with flop_counter() as counter:
            session.push(frame)
        assert session.costs[-1].flops == counter.get_total_flops()


def test_mass_by_a_second_pass_is_paid_for() -> None:
    def cost(attention: str) -> int:
        session = VideoSession(ReferenceDecoder(), StateKVMemory(6), attention=attention)
        session.push(frames(4))
        return session.costs[-1].flops

    spec = ReferenceDecoder().spec
    second_pass = 2 * 4 * 4 * spec.num_query_heads * spec.head_dim * spec.num_layers
    assert cost("sdpa") - cost("chunked") == second_pass


@pytest.mark.parametrize(
    ("attention", "ran"),
    [
        ("auto", ["sdpa", "chunked", "sdpa"]),
        *((name, [name, name, name]) for name in BACKENDS),
    ],
)
def test_frames_probes_and_questions_go_through_the_backend_of_the_session(
    attention: str, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all questions, and all probes, had a backend of their own."""
    seen: list[str] = []
    for backend in BACKENDS.values():

        def output(
            inputs: Inputs, received: WeightReductions, name: str = backend.name, own=backend.output
        ) -> Tensor:
            seen.append(name)
            return own(inputs, received)

        monkeypatch.setattr(backend, "output", output)
    session = VideoSession(ReferenceDecoder(), Probing(6), attention=attention)
    session.push(frames(4))
    session.question_logits([1, 2])
    assert seen[:: session.model.spec.num_layers] == ran
    assert len(seen) == 3 * session.model.spec.num_layers


def test_an_unknown_backend_is_refused_when_the_session_opens() -> None:
    with pytest.raises(ValueError, match=r"attention must be one of \('auto', .*, got 'flash'"):
        VideoSession(ReferenceDecoder(), RecencyMemory(6), attention="flash")


@dataclass(frozen=True)
class Watching(CrossFrameMemory):
    """Keeps nothing, and notes what it saw without holding it."""

    seen: list[weakref.ref[Tensor]] = field(default_factory=list)

    def update(self, slots: Slots) -> Slots:
        self.seen.append(weakref.ref(slots.keys))
        return slots.keep(torch.arange(0))


def test_what_a_step_saw_is_freed_without_the_garbage_collector() -> None:
    """A cycle through the step would hold the keys of many frames before they are collected."""
    memory = Watching()
    session = VideoSession(ReferenceDecoder(), memory)
    gc.disable()
    try:
        session.push(frames(4))
        session.question_logits([1, 2])
        assert [seen() for seen in memory.seen] == [None, None]
    finally:
        gc.enable()
