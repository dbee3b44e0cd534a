"""A memory that has kept everything carries keys and values that lie in the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.framework import (
    CPUArchive,
    CrossFrameMemory,
    FullMemory,
    PlainArchive,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.archives.archived_slots import ArchivedSlots
from crossframe.framework.reference import TINY, ReferenceDecoder
from crossframe.framework.stream.costs import held_bytes
from crossframe.framework.stream.origin import Origin
from crossframe.methods import (
    KeyDiffMemory,
    ReadCarried,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from ..streams import frames, push, pushed

SIZES = (3, 5, 1, 6, 4)
TOKEN_BYTES = TINY.num_layers * TINY.num_kv_heads * 2 * TINY.head_dim * 8
QUESTION = torch.tensor([[1, 2, 3]])


@dataclass(frozen=True)
class Apart(PlainArchive):
    """Not taken for a plain archive, as a subclass may do anything."""


@dataclass(frozen=True)
class Looking(WrappedMemory):
    """Notes whether keys of the step were unpacked before it looks at them."""

    seen: list[bool]

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        self.seen.extend(isinstance(one, ArchivedSlots) and one.untouched for one in layers)
        return self.inner.update_layers(layers)


def session(memory: CrossFrameMemory, **options: Any) -> VideoSession:
    return pushed(memory, *SIZES, **options)


KEEP_ALL = (
    FullMemory(),
    StateKVMemory(None),
    KeyDiffMemory(None),  # looks at the keys
    TokenDroppingMemory(ratio=0.5),
)


@pytest.mark.parametrize("memory", KEEP_ALL, ids=repr)
def test_what_is_kept_is_held_once_and_nothing_else_changes(memory: CrossFrameMemory) -> None:
    once, twice = session(memory), session(memory, archive=Apart())
    tokens = once.archive.num_tokens
    assert (once.shared_bytes, twice.shared_bytes) == (tokens * TOKEN_BYTES, 0)
    assert once.costs[-1].shared_bytes == once.shared_bytes
    assert once.state_bytes == twice.state_bytes
    assert held_bytes(value for _, value in once.state.tensors()) == (
        once.state_bytes - once.shared_bytes
    )
    for layer in range(TINY.num_layers):
        for name, value in twice.slots(layer).tensors():
            assert torch.equal(dict(once.slots(layer).tensors())[name], value)
    assert torch.equal(once.question_logits(QUESTION), twice.question_logits(QUESTION))
    carried = once.fork(reader=ReadCarried()), twice.fork(reader=ReadCarried())
    assert torch.equal(*(one.question_logits(QUESTION) for one in carried))


def test_a_step_unpacks_no_layer_for_longer_than_its_attention() -> None:
    seen: list[bool] = []
    made = session(Looking(FullMemory(), seen))
    assert seen == [True] * TINY.num_layers * len(SIZES)
    assert all(isinstance(one, ArchivedSlots) and one.untouched for one in made.state.layers)
    _ = made.slots(0).keys
    assert all(isinstance(one, ArchivedSlots) and one.untouched for one in made.state.layers)


@dataclass(frozen=True)
class Weighing(WrappedMemory):
    """Notes whether keys were unpacked for good when it asked for the mass of the last token."""

    seen: list[bool]

    def update(self, slots: Slots) -> Slots:
        slots.mass_of(torch.tensor([-1]))
        self.seen.append(isinstance(slots, ArchivedSlots) and slots.untouched)
        return self.inner.update(slots)


def test_the_mass_of_some_queries_unpacks_nothing_for_good() -> None:
    seen: list[bool] = []
    session(Weighing(FullMemory(), seen))
    assert seen == [True] * TINY.num_layers * len(SIZES)


def test_a_bounded_memory_shares_until_it_drops() -> None:
    made = VideoSession(ReferenceDecoder(), StateKVMemory(9))
    shared = []
    for frame in frames(*SIZES):
        made.push(frame)
        shared.append(made.shared_bytes // TOKEN_BYTES)
    assert shared == [3, 8, 9, 0, 0]


@dataclass(frozen=True)
class Doubled(CrossFrameMemory):
    """Returns the very slots it got, with other keys."""

    looks: bool

    def update(self, slots: Slots) -> Slots:
        doubled = slots.keys * 2 if self.looks else torch.full_like(slots.values, 2.0)
        slots.keys = doubled
        return slots


@dataclass(frozen=True)
class DoubledInPlace(CrossFrameMemory):
    """Writes into the values it got."""

    merges = True

    def update(self, slots: Slots) -> Slots:
        slots.values.mul_(2)
        return slots


def test_values_that_a_memory_merges_in_place_are_its_own() -> None:
    made, archived = pushed(DoubledInPlace(), 3), pushed(FullMemory(), 3)
    assert made.shared_bytes == 0
    torch.testing.assert_close(made.slots(0).values, 2 * archived.slots(0).values)
    assert torch.equal(made.question_logits(QUESTION), archived.question_logits(QUESTION))


@pytest.mark.parametrize("looks", [True, False])
def test_keys_that_a_memory_replaces_are_its_own(looks: bool) -> None:
    made = pushed(Doubled(looks), 3, 5)
    assert made.shared_bytes == 0
    own, archived = made.slots(0).keys, made.archive.layers[0]["keys"].joined()
    assert not torch.equal(own, archived)
    assert torch.equal(made.slots(0).values, made.archive.layers[0]["values"].joined())
    if looks:
        assert torch.equal(own[:, :, 3:], 2 * archived[:, :, 3:])


def test_keys_replaced_before_anything_is_looked_at_stay() -> None:
    @dataclass(frozen=True)
    class Unseen(CrossFrameMemory):
        def update(self, slots: Slots) -> Slots:
            slots.keys = torch.zeros(*slots.index.shape, TINY.head_dim, dtype=torch.float64)
            return slots

    made = pushed(Unseen(), 3, 5)
    assert not made.slots(0).keys.any()
    assert made.slots(0).values.any()


@dataclass(frozen=True)
class Anew(CrossFrameMemory):
    """Slots of its own of all it got, and writes into what it was shown."""

    def update(self, slots: Slots) -> Slots:
        anew = replace(slots, stats={})
        slots.keys.zero_()
        return anew


def test_what_a_memory_makes_of_them_holds_no_page_and_leaves_the_archive() -> None:
    for sizes in ((1,), (3, 5), (30, 40)):
        made, steady = pushed(Anew(), *sizes), pushed(FullMemory(), *sizes)
        held = dict(made.slots(0).tensors())
        assert made.shared_bytes == 0
        assert held_bytes([held["keys"]]) == held["keys"].numel() * 8
        first = made.archive.layers[0]["keys"].joined()
        assert torch.equal(first, steady.archive.layers[0]["keys"].joined())


def test_forks_go_their_own_ways() -> None:
    parent, twin = session(FullMemory()), session(FullMemory())
    fork = parent.fork()
    for made in (parent, twin):
        push(made, 2)
    before = parent.slots(1).keys
    push(fork, 7)
    assert torch.equal(parent.slots(1).keys, before)
    assert torch.equal(parent.question_logits(QUESTION), twin.question_logits(QUESTION))
    assert fork.shared_bytes == fork.archive.num_tokens * TOKEN_BYTES


def test_a_failed_push_leaves_what_was_held() -> None:
    made, steady = session(FullMemory()), session(FullMemory())
    (last,) = frames(2, start=sum(SIZES))
    last.embeds.fill_(float("inf"))
    with pytest.raises(ValueError, match="NaN or Inf"):
        made.push(last)
    assert torch.equal(made.question_logits(QUESTION), steady.question_logits(QUESTION))


@pytest.mark.parametrize(
    ("archive", "shares"), [(None, True), (CPUArchive(), False)], ids=["plain", "cpu"]
)
def test_a_loaded_session_holds_it_once_too(
    tmp_path: Path, archive: CPUArchive | None, shares: bool
) -> None:
    path = tmp_path / "one.session"
    saved, steady = session(FullMemory()), session(FullMemory())
    saved.save(path)
    loaded = VideoSession.load(path, saved.model, archive=archive)
    assert (loaded.shared_bytes > 0) is shares
    for made in (loaded, steady):
        push(made, 4)
    assert (loaded.shared_bytes == steady.shared_bytes) is shares
    assert torch.equal(loaded.question_logits(QUESTION), steady.question_logits(QUESTION))


def test_a_loaded_window_that_dropped_nothing_shares_and_a_sampled_one_does_not(
    tmp_path: Path,
) -> None:
    for memory, shares in ((SlidingWindowMemory(9), True), (StateKVMemory(4), False)):
        made = session(memory)
        made.save(tmp_path / "one.session")
        loaded = VideoSession.load(tmp_path / "one.session", made.model)
        assert (loaded.shared_bytes > 0) is shares


def test_an_origin_that_moves_turns_archived_slots_too() -> None:
    one, other = session(FullMemory()).state, session(FullMemory(), archive=Apart()).state
    moved = [
        state.counted_from(Origin(0, 5)).carried(ReferenceDecoder(), 1) for state in (one, other)
    ]
    for mine, theirs in zip(*moved, strict=True):
        assert mine.rotated is not None
        assert theirs.rotated is not None
        assert torch.equal(mine.rotated, theirs.rotated)
        assert mine.moved
        assert torch.equal(mine.keys, theirs.keys)
