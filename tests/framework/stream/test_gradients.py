"""Autograd follows pushes and questions where it is asked to, and only there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import FullMemory, ScoringMemory, Slots, VideoSession
from crossframe.framework.attention.attend import BACKENDS
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import ReadCarried

from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])


@dataclass(frozen=True)
class Fading(ScoringMemory):
    """Fades the values of what it keeps by their mass, at a rate that can be learnt."""

    rate: Tensor
    statistic: str = "mass"
    merges = True

    def __post_init__(self) -> None:
        super().__post_init__()
        mass = self.statistic == "mass"
        self.declare(needs_mass=mass, reductions=() if mass else (self.statistic,))

    def score(self, slots: Slots) -> Tensor:
        return slots.reduced[self.statistic] if slots.mass is None else slots.mass

    def update(self, slots: Slots) -> Slots:
        fade = torch.sigmoid(self.rate * self.score(slots))[..., None]
        return super().update(replace(slots, values=slots.values * fade))


def logits(rate: Tensor, embeds: Tensor, statistic: str = "mass", backend: str = "auto") -> Tensor:
    """Of a question about two pushes, of which `embeds` [1, tokens, hidden] are the first."""
    memory = Fading(3, rate, statistic)
    options = {"reader": ReadCarried(), "attention": backend, "gradients": True}
    session = VideoSession(ReferenceDecoder(), memory, **options)
    first, second = frames(embeds.shape[1], 4)
    session.push(replace(first, embeds=embeds))
    session.push(second)
    return session.question_logits(QUESTION)


def inputs() -> tuple[Tensor, Tensor]:
    (first,) = frames(5)
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    return rate, first.embeds.clone().requires_grad_()


@pytest.mark.parametrize("statistic", ["mass", "max", "squares"])
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "flex"])
def test_gradients_through_two_pushes_are_those_of_finite_differences(
    backend: str, statistic: str
) -> None:
    rate, embeds = inputs()
    first, others = embeds[:, :1].detach(), embeds[:, 1:].detach()

    def asked(rate: Tensor, first: Tensor) -> Tensor:
        return logits(rate, torch.cat([first, others], 1), statistic, backend)

    assert torch.autograd.gradcheck(asked, (rate, first.requires_grad_()))


def test_the_rate_is_learnt() -> None:
    rate, embeds = inputs()
    wanted = logits(torch.tensor(-1.3, dtype=torch.float64), embeds.detach()).detach()
    losses = []
    optimizer = torch.optim.Adam([rate], lr=0.2)
    for _ in range(30):
        loss = (logits(rate, embeds.detach()) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 100


@pytest.mark.parametrize("asked", [True, False])
def test_nothing_is_followed_unless_asked_for_and_enabled(asked: bool) -> None:
    (frame,) = frames(4)
    frame = replace(frame, embeds=frame.embeds.clone().requires_grad_())
    session = VideoSession(ReferenceDecoder(), FullMemory(), gradients=asked)
    with torch.set_grad_enabled(not asked):
        hidden = session.push(frame, return_hidden=True)
        found = session.question_logits(QUESTION)
    assert hidden is not None
    assert not hidden.requires_grad and not found.requires_grad
    assert not any(value.requires_grad for _, value in session.state.tensors())


def test_the_archive_holds_no_gradients_and_answers_are_the_same() -> None:
    rate, embeds = inputs()
    answers = []
    for gradients in (True, False):
        session = VideoSession(ReferenceDecoder(), Fading(3, rate), gradients=gradients)
        session.push(replace(frames(5)[0], embeds=embeds))
        assert not session.archive.layers[0]["keys"].joined().requires_grad
        answers.append(session.question_logits(QUESTION))
    assert torch.equal(*answers)
