"""Ragged heads: packed without their padding, and a ragged memory through a whole session."""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    ScoringMemory,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.ragged import PackedSlots, pack, unpack
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.costs import held_bytes
from crossframe.framework.testing import check_memory, memory_machine

from .streams import frames

QUESTION = torch.tensor([[3, 1, 4]])


@dataclass(frozen=True)
class Uneven(CrossFrameMemory):
    """Head h keeps its newest h + 1 slots of odd token number; law 7 counts their sum."""

    most: int = 3
    needs_mass = True

    def update(self, slots: Slots) -> Slots:
        odd = (slots.index % 2 == 1) & (slots.index >= 0)  # padding has negative numbers
        newer = odd.flip(-1).cumsum(-1).flip(-1)
        share = torch.arange(slots.keys.shape[1])[:, None] + 1
        return slots.keep(odd & (newer <= share.clamp(max=self.most)))

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.most


@dataclass(frozen=True)
class Oldest(ScoringMemory):
    """Ranks by whole numbers, and padding would rank highest."""

    def score(self, slots: Slots) -> Tensor:
        return -slots.index


@dataclass(frozen=True)
class Thinned(WrappedMemory):
    """Hands ragged slots to the inner memory."""

    def update(self, slots: Slots) -> Slots:
        heads = torch.arange(slots.keys.shape[1])[:, None]
        return self.inner.update(slots.keep((slots.index + heads) % 3 != 0))


def make(slots: int, moved: bool) -> Slots:
    own = torch.arange(2 * 3 * slots).view(2, 3, slots)
    rotated = torch.stack([own + axis for axis in range(3)])
    return Slots(
        keys=own[..., None] + torch.rand(4),
        values=own[..., None] * torch.rand(4),
        index=own,
        frame=own // 2,
        visual=own % 2 == 0,
        positions=rotated - 9 if moved else rotated,
        rotated=rotated if moved else None,
        stats={"age": own * 0.5},
        state={"mean": torch.rand(2)},
    )


@given(
    st.lists(st.booleans(), min_size=36, max_size=36),
    st.booleans(),
)
def test_packing_and_unpacking_gives_every_real_slot_back(flags: list[bool], moved: bool) -> None:
    ragged = make(6, moved).keep(torch.tensor(flags).view(2, 3, 6))
    stored = pack(ragged)
    back = unpack(stored)
    assert isinstance(stored, PackedSlots) == (ragged.valid is not None)
    assert torch.equal(back.index, ragged.index), "padding has the same numbers again"
    real = torch.ones_like(ragged.visual) if ragged.valid is None else ragged.valid
    assert back.valid is None or torch.equal(back.valid, real)
    for name in ("keys", "values", "frame", "visual"):
        assert torch.equal(getattr(back, name)[real], getattr(ragged, name)[real]), name
    assert back.rotated is not None
    assert ragged.rotated is not None
    assert torch.equal(back.positions[:, real], ragged.positions[:, real])
    assert torch.equal(back.rotated[:, real], ragged.rotated[:, real])
    assert back.moved == moved
    assert torch.equal(back.stats["age"][real], ragged.stats["age"][real])
    assert torch.equal(back.state["mean"], ragged.state["mean"])


def test_slots_without_padding_are_stored_as_they_are() -> None:
    slots = make(3, moved=False)
    assert pack(slots) is slots
    assert unpack(slots) is slots


def test_packing_frees_the_padding() -> None:
    mask = torch.zeros(2, 3, 64, dtype=torch.bool)
    mask[..., -1] = True
    mask[0, 0] = True
    ragged = make(64, moved=True).keep(mask)
    packed, padded = (held_bytes(dict(one.tensors()).values()) for one in (pack(ragged), ragged))
    real = int(mask.sum())
    per_slot = 2 * 4 * 4 + 8 + 8 + 1 + 2 * 3 * 8 + 4  # keys, values, 3 columns, 2 x 3 axes, stat
    assert real == 69
    assert packed == real * per_slot + mask.numel() + 8  # and valid, and the state's mean
    assert packed < 0.25 * padded


def test_a_ragged_session_holds_what_its_heads_kept() -> None:
    session = VideoSession(ReferenceDecoder(), Uneven())
    for frame in frames(3, 4, 1, 5, 4, batch=2):
        session.push(frame)
    slots = session.slots(0)
    assert slots.valid is not None
    assert slots.valid.sum(-1).tolist() == [[1, 2]] * 2
    assert slots.index[slots.valid].tolist() == [15, 13, 15] * 2
    assert slots.index[~slots.valid].tolist() == [-2, -2]
    assert torch.equal(slots.positions[0][slots.valid], slots.index[slots.valid])


def test_ragged_state_stays_the_same_size_however_long_the_stream() -> None:
    session = VideoSession(ReferenceDecoder(), Uneven())
    held = []
    for frame in frames(*[4] * 12, batch=2):
        session.push(frame)
        held.append(session.state_bytes)
    assert len(set(held[2:])) == 1


def test_a_ragged_memory_keeps_the_laws() -> None:
    check_memory(Uneven(), max_examples=4)


TestUnevenHistories = memory_machine(Uneven(), max_examples=4).TestCase


def test_a_scoring_memory_ranks_only_the_real_slots_of_ragged_heads() -> None:
    session = VideoSession(ReferenceDecoder(), Thinned(Oldest(3)))
    session.push(frames(6, 6, 5, batch=2))
    for layer in range(2):
        index = session.slots(layer).index
        assert index.tolist() == [[[1, 2, 4], [0, 1, 3]]] * 2


@dataclass(frozen=True)
class Misnumbered(Uneven):
    """Numbers the slots of the last, fullest head from `start`."""

    start: int = 0

    def update(self, slots: Slots) -> Slots:
        kept = super().update(slots)
        assert kept.valid is not None
        return replace(kept, index=kept.index + torch.tensor([[0], [self.start]]))


@pytest.mark.parametrize("start", [-50, 50])
def test_ragged_slots_outside_the_stream_are_refused(start: int) -> None:
    session = VideoSession(ReferenceDecoder(), Misnumbered(start=start))
    with pytest.raises(ValueError, match="layer 0 slots outside the stream of 4 tokens"):
        session.push(frames(4, batch=2))
