"""`GrowingTensor`: grows in place, and forks share until they diverge."""

from collections.abc import Sequence
from weakref import ref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from torch import Tensor

from crossframe.framework.archives.growing import GrowingTensor


def grown(count: int) -> GrowingTensor:
    growing = GrowingTensor(torch.zeros(2, 0, 3), 1)
    growing.append(numbers(0, count))
    return growing


def numbers(start: int, count: int) -> Tensor:
    return torch.arange(start, start + count).view(1, count, 1).expand(2, -1, 3).float()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.sampled_from([-1, 0, 1]))
def test_appending_copies_less_than_three_times_what_is_held(sizes: list[int], dim: int) -> None:
    growing = GrowingTensor(torch.zeros(3, 3), dim)
    parts = [torch.randn(3, 3).repeat_interleave(20, dim).narrow(dim, 0, s) for s in sizes]
    for part in parts:
        growing.append(part)
        assert growing.bytes_copied <= 3 * growing.bytes_held
    assert torch.equal(growing.view(), torch.cat(parts, dim))
    assert growing.bytes_copied >= growing.view().numel() * 4, "every number was copied once"


def test_appending_into_free_room_moves_nothing() -> None:
    growing = grown(4)
    growing.append(numbers(4, 1))
    home, copied = growing.view().data_ptr(), growing.bytes_copied
    for start in (5, 6, 7):
        growing.append(numbers(start, 1))
        assert growing.view().data_ptr() == home
    assert growing.bytes_copied - copied == 3 * 2 * 3 * 4
    assert growing.bytes_held == 8 * 2 * 3 * 4


def test_a_view_is_the_storage_itself() -> None:
    growing = grown(4)
    assert growing.view().untyped_storage().nbytes() == growing.bytes_held
    assert growing.view().data_ptr() == growing.tail().data_ptr()


def test_reserving_copies_nothing_twice() -> None:
    growing = grown(4)
    growing.reserve(10)
    copied = growing.bytes_copied
    growing.reserve(10)
    assert growing.bytes_copied == copied
    assert growing.tail().shape == (2, 14, 3)


def test_scratch_behind_the_end_is_never_seen() -> None:
    growing = grown(3)
    growing.reserve(5)
    growing.tail()[:, 3:] = float("nan")
    assert torch.equal(growing.view(), numbers(0, 3))
    growing.append(numbers(3, 2))
    assert torch.equal(growing.view(), numbers(0, 5))


def test_scratch_of_a_fork_that_fell_behind_spoils_nothing() -> None:
    growing = grown(3)
    growing.reserve(5)
    fork = growing.fork()
    growing.append(numbers(3, 2))
    fork.reserve(2)
    fork.tail()[:, 3:] = float("nan")
    assert torch.equal(growing.view(), numbers(0, 5))


def test_forking_copies_nothing_until_the_second_append() -> None:
    growing = grown(3)
    growing.reserve(4)
    fork = growing.fork()
    home, copied = growing.view().data_ptr(), growing.bytes_copied
    fork.append(numbers(3, 1))
    assert fork.view().data_ptr() == growing.view().data_ptr() == home
    assert fork.bytes_copied - copied == 2 * 3 * 4
    growing.append(numbers(30, 1))
    assert growing.view().data_ptr() != home
    assert growing.bytes_copied - copied == (3 + 1) * 2 * 3 * 4
    assert torch.equal(fork.view(), numbers(0, 4))
    assert growing.view()[0, :, 0].tolist() == [0, 1, 2, 30]


def test_a_draft_does_not_show_until_it_takes_the_place() -> None:
    growing = grown(5)
    draft = growing.draft()
    draft.append(numbers(5, 2))
    assert torch.equal(growing.view(), numbers(0, 5))
    assert torch.equal(draft.view(), numbers(0, 7))


def test_a_draft_that_was_let_go_leaves_the_room_free() -> None:
    growing = grown(5)
    growing.append(numbers(5, 1))
    home, copied = growing.view().data_ptr(), growing.bytes_copied
    growing.draft().append(numbers(60, 2))
    assert growing.bytes_copied == copied
    draft = growing.draft()
    draft.append(numbers(6, 2))
    assert draft.view().data_ptr() == home
    assert torch.equal(draft.view(), numbers(0, 8))


def test_room_that_a_draft_made_stays_when_it_is_let_go() -> None:
    """So that asking again and again while frames wait does not copy the archive every time."""
    growing = grown(5)
    growing.draft().append(numbers(50, 1))
    home, copied = growing.view().data_ptr(), growing.bytes_copied
    for start in (5, 50, 500):
        draft = growing.draft()
        draft.append(numbers(start, 2))
        assert draft.view().data_ptr() == home
    assert growing.bytes_copied == copied
    assert torch.equal(growing.view(), numbers(0, 5))


def test_what_a_fork_may_see_is_never_written_over() -> None:
    growing = grown(5)
    draft = growing.draft()
    draft.append(numbers(5, 2))
    fork = draft.fork()
    growing.append(numbers(70, 2))
    assert torch.equal(fork.view(), numbers(0, 7))
    assert growing.view()[0, :, 0].tolist() == [0, 1, 2, 3, 4, 70, 71]


def test_a_tensor_is_freed_with_its_last_handle() -> None:
    growing = grown(5)
    growing.draft().append(numbers(5, 9))
    room = ref(growing.tail())
    del growing
    assert room() is None, "a cycle would hold the room until the garbage collector comes by"


class Rooms:
    """Makes room, notes every size, and fails once `full`."""

    def __init__(self) -> None:
        self.sizes: list[list[int]] = []
        self.full = False

    def __call__(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        if self.full:
            raise OSError("no room")
        self.sizes.append(list(shape))
        return example.new_full(shape, float("nan"))


def test_all_room_is_made_where_it_was_asked_for() -> None:
    rooms = Rooms()
    growing = GrowingTensor(torch.zeros(2, 7, 3), 1, rooms)
    growing.append(numbers(0, 4))
    fork = growing.fork()
    growing.append(numbers(4, 1))
    fork.append(numbers(40, 2))
    assert rooms.sizes == [[2, 0, 3], [2, 4, 3], [2, 8, 3], [2, 8, 3]]
    assert torch.equal(growing.view(), numbers(0, 5))
    assert fork.view()[0, :, 0].tolist() == [0, 1, 2, 3, 40, 41]


def test_an_append_that_finds_no_room_changes_nothing() -> None:
    rooms = Rooms()
    growing = GrowingTensor(torch.zeros(2, 0, 3), 1, rooms)
    growing.append(numbers(0, 4))
    fork, before = growing.fork(), (growing.bytes_held, growing.bytes_copied)
    rooms.full = True
    for handle in (growing, fork):
        with pytest.raises(OSError, match="no room"):
            handle.append(numbers(4, 1))
        assert torch.equal(handle.view(), numbers(0, 4))
    assert (growing.bytes_held, growing.bytes_copied) == before
    rooms.full = False
    growing.append(numbers(4, 1))
    assert torch.equal(growing.view(), numbers(0, 5))
    assert torch.equal(fork.view(), numbers(0, 4))


class Handles(RuleBasedStateMachine):
    """Any handles on one tensor, each beside the list of what it should hold."""

    @initialize()
    def begin(self) -> None:
        self.handles = [(GrowingTensor(torch.zeros(0, dtype=torch.int64), 0), list[int]())]
        self.next = 0

    @rule(which=st.integers(0, 9), count=st.integers(0, 5))
    def append(self, which: int, count: int) -> None:
        growing, expected = self.handles[which % len(self.handles)]
        new = list(range(self.next, self.next + count))
        self.next += count
        growing.append(torch.tensor(new, dtype=torch.int64))
        expected.extend(new)

    @rule(which=st.integers(0, 9))
    def fork(self, which: int) -> None:
        growing, expected = self.handles[which % len(self.handles)]
        self.handles.append((growing.fork(), list(expected)))

    @rule(which=st.integers(0, 9), count=st.integers(0, 5), taken=st.booleans())
    def draft(self, which: int, count: int, taken: bool) -> None:
        growing, expected = self.handles[which % len(self.handles)]
        new = list(range(self.next, self.next + count))
        self.next += count
        draft = growing.draft()
        draft.append(torch.tensor(new, dtype=torch.int64))
        assert draft.view().tolist() == [*expected, *new]
        if taken:
            self.handles[which % len(self.handles)] = draft, [*expected, *new]

    @rule(which=st.integers(0, 9), count=st.integers(1, 6))
    def scribble(self, which: int, count: int) -> None:
        growing, expected = self.handles[which % len(self.handles)]
        growing.reserve(count)
        growing.tail()[len(expected) :] = -1

    @invariant()
    def every_handle_holds_its_own_numbers(self) -> None:
        for growing, expected in self.handles:
            assert growing.view().tolist() == expected


TestHandles = Handles.TestCase
TestHandles.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
