"""Query rows: which queries decide, against plain loops; what is not computed for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    FrameTokens,
    FullMemory,
    ScoringMemory,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.attention.attend import CHOICES
from crossframe.framework.flops import DecoderSpec
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    CausalityCorrected,
    QueryRows,
    SmoothedScore,
    StateKVMemory,
)


@pytest.mark.parametrize("rows", ["all", "last", 1, 3, 100, "text"])
def test_kept_slots_equal_the_oracle(equals_scores, rows) -> None:
    def scores(head) -> list[float]:
        # Frames of this stream have at most 6 tokens and no markers; the prompt is all text.
        text = 6 if head.slots[-1].frame == -1 else 1
        count = rows if isinstance(rows, int) else {"all": 6, "last": 1, "text": text}[rows]
        chosen = [row for group in head.weights for row in group[-count:]]
        return [sum(column) for column in zip(*chosen, strict=True)]

    equals_scores(QueryRows(StateKVMemory(9), rows), scores)


@dataclass(frozen=True)
class Notes(ScoringMemory):
    """Ranks by mass and notes it, with the slots it came with."""

    seen: list[Slots] = field(default_factory=list)
    needs_mass = True

    def score(self, slots: Slots) -> Tensor:
        self.seen.append(slots)
        assert slots.mass is not None
        return slots.mass


@dataclass(frozen=True)
class Outside(WrappedMemory):
    """Notes what the session hands in."""

    seen: list[Slots] = field(default_factory=list)

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        self.seen.extend(layers)
        return self.inner.update_layers(layers)


@pytest.mark.parametrize("implementation", CHOICES)
@pytest.mark.parametrize("group", [1, 3])
def test_the_mass_of_all_rows_is_the_mass(frames, implementation, group) -> None:
    sizes = DecoderSpec(2, 24, 32, 2 * group, 2, 8, 31)
    memory = Outside(StateKVMemory(6))
    session = VideoSession(ReferenceDecoder(sizes), memory, attention=implementation)
    for frame in frames(5, 1, 4, batch=2):
        session.push(frame)
        for slots in memory.seen[-2:]:
            assert slots.mass is not None
            by_head = slots.mass_of(torch.arange(slots.num_new))
            sums = torch.zeros_like(slots.mass)
            for head in range(by_head.shape[1]):
                sums[:, head // group] += by_head[:, head]
            torch.testing.assert_close(sums, slots.mass, rtol=0, atol=1e-12)


@pytest.mark.parametrize("implementation", CHOICES)
def test_the_last_rows_are_the_end_of_all_rows(frames, implementation) -> None:
    memory = Outside(QueryRows(Notes(6), 2))
    session = VideoSession(ReferenceDecoder(), memory, attention=implementation)
    session.push(frames(5, 4))
    notes = memory.inner
    assert isinstance(notes, QueryRows) and isinstance(notes.inner, Notes)
    for slots in notes.inner.seen[-2:]:
        assert slots.mass is not None
        whole, before = (slots.mass_of(torch.arange(n)) for n in (4, 2))
        torch.testing.assert_close(slots.mass, (whole - before).unflatten(1, (2, 2)).sum(2))
        assert torch.allclose(slots.mass.sum(-1), torch.tensor(2 * 2.0, dtype=torch.float64))


@pytest.mark.parametrize(("rows", "whole"), [("all", True), ("last", False), (3, False)])
def test_the_full_mass_is_computed_for_all_rows_only(frames, rows, whole) -> None:
    outside = Outside(QueryRows(StateKVMemory(9), rows))
    flops = []
    for memory in (outside, FullMemory(), StateKVMemory(9)):
        session = VideoSession(ReferenceDecoder(), memory, attention="sdpa")
        session.push(frames(4, 4))
        flops.append(session.costs[-1].flops)
    asked, without_mass, with_mass = flops
    assert without_mass < with_mass
    assert asked == (with_mass if whole else without_mass)
    assert all((slots.mass is not None) == whole for slots in outside.seen)
    assert outside.needs_mass == whole


def marked(frames, places: Sequence[int], batch: int = 1) -> list[FrameTokens]:
    """Frames of 5 tokens with text markers at some places."""
    made = []
    for frame in frames(5, 5, 5, batch=batch):
        visual = torch.ones(batch, 5, dtype=torch.bool)
        visual[:, list(places)] = False
        made.append(FrameTokens(frame.embeds, frame.positions, visual))
    return made


@pytest.mark.parametrize("per_step", [1, 2])
def test_text_rows_are_the_markers_of_the_step(frames, per_step) -> None:
    notes = Notes(7)
    session = VideoSession(ReferenceDecoder(), QueryRows(notes, "text"), frames_per_step=per_step)
    session.push(marked(frames, [0, 4], batch=2))
    for slots in notes.seen:
        assert slots.mass is not None
        rows = [row for row in range(slots.num_new) if row % 5 in (0, 4)]
        by_head = slots.mass_of(torch.tensor(rows))
        torch.testing.assert_close(slots.mass, by_head.unflatten(1, (2, 2)).sum(2))


def test_markers_in_different_places_of_a_batch_are_refused(frames, open_session) -> None:
    session = open_session(QueryRows(StateKVMemory(6), "text"))
    first, second, _ = marked(frames, [0, 4], batch=2)
    session.push(first)
    assert second.visual is not None
    second.visual[1] = torch.tensor([True, False, True, True, False])
    with pytest.raises(
        ValueError, match=r'text markers in different places, .* or use rows="last"'
    ):
        session.push(second)


def test_wrappers_outside_need_no_mass_either() -> None:
    assert not SmoothedScore(QueryRows(StateKVMemory(5), 2), "sum").needs_mass
    assert CausalityCorrected(QueryRows(StateKVMemory(5), "all")).needs_mass
