"""`PagedTensor`: what was appended never moves, and forks share pages until they diverge."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import ref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from torch import Tensor

from crossframe.framework.archives.paged import PagedTensor, PageSizes

TOKEN = 2 * 3 * 4  # bytes of a token in most tests: [2, tokens, 3] float32
SIZES = PageSizes(2, 8)  # pages start at 0, 2, 4, 8, 16, 24, ...


def empty(dim: int = 1) -> PagedTensor:
    return PagedTensor.like(torch.zeros(2, 5, 3), dim, SIZES)


def paged(count: int) -> PagedTensor:
    return empty().append(numbers(0, count))


def numbers(start: int, count: int) -> Tensor:
    return torch.arange(start, start + count).view(1, count, 1).expand(2, -1, 3).float()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.sampled_from([-1, 0, 1]))
def test_nothing_is_copied_twice_and_room_is_at_most_a_page(sizes: list[int], dim: int) -> None:
    growing = PagedTensor.like(torch.zeros(3, 3), dim, SIZES)
    parts = [torch.randn(3, 3).repeat_interleave(20, dim).narrow(dim, 0, s) for s in sizes]
    for part in parts:
        growing = growing.append(part)
        assert growing.bytes_copied == growing.bytes_appended == 12 * growing.length
        assert growing.bytes_held <= growing.bytes_appended + growing.page_bytes
        assert growing.page_bytes <= 12 * SIZES.most
    assert torch.equal(growing.joined(), torch.cat(parts, dim))


def test_pages_start_at_the_same_tokens_however_they_were_appended() -> None:
    one_by_one = empty()
    for number in range(30):
        one_by_one = one_by_one.append(numbers(number, 1))
    assert one_by_one.bounds == paged(30).bounds == [0, 2, 4, 8, 16, 24, 30]
    assert torch.equal(one_by_one.joined(), numbers(0, 30))
    assert empty().bounds == [0]


def test_pages_are_of_the_bytes_that_were_asked_for() -> None:
    wide, narrow = torch.zeros(2, 7, 16), torch.zeros(2, 7, 4).bfloat16()
    assert PageSizes.of([wide, narrow], 1, 1 << 20) == PageSizes(2, (1 << 20) // 128)
    assert PageSizes.of([narrow], 1, 1 << 20) == PageSizes(16, 1 << 16)
    assert PageSizes.of([wide], 1, 5) == PageSizes(1, 1), "a page holds a token at least"
    assert PageSizes.of([wide[:, :0]], 1, 1 << 20).most > 0


def test_what_was_appended_never_moves() -> None:
    growing = paged(3)
    homes = [part.data_ptr() for part in growing.parts()]
    for start in range(3, 60, 3):
        growing = growing.append(numbers(start, 3))
        found = [part.data_ptr() for part in growing.parts()]
        assert found[: len(homes)] == homes
        homes = found


def test_parts_and_runs_of_one_page_come_without_a_copy() -> None:
    growing = paged(30)
    held = sum(part.untyped_storage().nbytes() for part in growing.parts())
    assert held == growing.bytes_held == 32 * TOKEN
    assert growing.between(17, 23).data_ptr() == growing.parts()[4][:, 1:].data_ptr()
    assert paged(2).joined().data_ptr() != 0
    one = paged(2)
    assert one.joined().data_ptr() == one.parts()[0].data_ptr()


@given(st.integers(0, 33), st.integers(0, 40), st.integers(0, 40))
def test_any_run_of_tokens(count: int, first: int, second: int) -> None:
    start, stop = sorted((min(first, count), min(second, count)))
    assert torch.equal(paged(count).between(start, stop), numbers(start, stop - start))


@given(st.integers(1, 33), st.data())
def test_any_places_of_tokens(count: int, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, count - 1))))
    found = paged(count).take(torch.tensor(places, dtype=torch.int64))
    assert found[0, :, 0].tolist() == places
    assert found.shape == (2, len(places), 3)


def test_places_out_of_order_and_outside() -> None:
    assert paged(20).take(torch.tensor([19, 3, 3, 0]))[1, :, 2].tolist() == [19, 3, 3, 0]
    for rows in ([-1, 3], [3, 20], [30]):
        for count in (2, 20):
            with pytest.raises((IndexError, RuntimeError)):  # as torch has it
                paged(count).take(torch.tensor(rows))


def test_numbers_without_tokens() -> None:
    nothing = empty()
    assert nothing.joined().shape == (2, 0, 3)
    assert nothing.take(torch.tensor([], dtype=torch.int64)).shape == (2, 0, 3)
    assert nothing.append(numbers(0, 0)).bytes_held == nothing.bytes_held == 0
    assert nothing.fork().append(numbers(0, 1)).length == 1


def test_the_example_is_not_held() -> None:
    example = torch.zeros(2, 5, 3)
    gone = ref(example.untyped_storage())
    growing = PagedTensor.like(example, 1, SIZES)
    del example
    assert gone() is None
    assert growing.append(numbers(0, 3)).joined().dtype == torch.float32


def test_forking_copies_nothing_until_the_second_append_and_then_a_page() -> None:
    growing = paged(19)
    fork = growing.fork()
    first = fork.append(numbers(19, 1))
    assert first.parts()[-1].data_ptr() == growing.parts()[-1].data_ptr()
    assert first.moved == 0
    second = growing.append(numbers(190, 1))
    assert second.moved == 3 * TOKEN, "of the page on which they part, what both have"
    assert torch.equal(first.joined(), numbers(0, 20))
    assert second.joined()[0, :, 0].tolist() == [*range(19), 190]
    shared = [part.data_ptr() for part in growing.parts()[:-1]]
    for each in (first, second):
        assert [part.data_ptr() for part in each.parts()[:-1]] == shared


def test_at_a_page_s_end_forks_copy_nothing_at_all() -> None:
    growing = paged(16)
    fork = growing.fork()
    assert growing.append(numbers(16, 3)).moved == fork.append(numbers(60, 3)).moved == 0


def test_appending_changes_no_value_it_was_appended_to() -> None:
    growing = paged(5)
    longer = growing.append(numbers(5, 30))
    assert torch.equal(growing.joined(), numbers(0, 5))
    assert torch.equal(longer.joined(), numbers(0, 35))


def test_what_was_let_go_leaves_the_room_free() -> None:
    growing = paged(5)
    held = growing.bytes_held
    growing.append(numbers(60, 2))
    longer = growing.append(numbers(5, 2))
    assert longer.parts()[-1].data_ptr() == growing.parts()[-1].data_ptr()
    assert torch.equal(longer.joined(), numbers(0, 7))
    assert (longer.bytes_held, longer.moved) == (held, 0)


@pytest.mark.parametrize("more", [2, 9, 30])
def test_what_a_fork_may_see_is_never_written_over(more: int) -> None:
    growing = paged(5)
    longer = growing.append(numbers(5, more))
    fork = longer.fork()
    other = growing.append(numbers(70, more))
    assert torch.equal(fork.joined(), numbers(0, 5 + more))
    assert other.joined()[0, :, 0].tolist() == [*range(5), *range(70, 70 + more)]


def test_a_tensor_is_freed_with_its_last_value() -> None:
    growing = paged(5).append(numbers(5, 9))
    rooms = [ref(page.room) for page in growing.pages]
    del growing
    assert [room() for room in rooms] == [None] * 4, "a cycle would hold them for a while"


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
    growing = PagedTensor.like(torch.zeros(2, 7, 3), 1, SIZES, rooms).append(numbers(0, 3))
    fork = growing.fork()
    longer = growing.append(numbers(3, 2))
    other = fork.append(numbers(40, 1))
    assert rooms.sizes == [[2, 2, 3], [2, 2, 3], [2, 4, 3], [2, 2, 3]]
    assert torch.equal(longer.joined(), numbers(0, 5))
    assert other.joined()[0, :, 0].tolist() == [0, 1, 2, 40]


def test_an_append_that_finds_no_room_changes_nothing() -> None:
    rooms = Rooms()
    growing = PagedTensor.like(torch.zeros(2, 0, 3), 1, SIZES, rooms).append(numbers(0, 3))
    fork = growing.fork()
    longer = growing.append(numbers(3, 1))
    rooms.full = True
    for value in (longer, fork):
        with pytest.raises(OSError, match="no room"):
            value.append(numbers(4, 2))
    assert torch.equal(growing.joined(), numbers(0, 3))
    rooms.full = False
    assert torch.equal(longer.append(numbers(4, 1)).joined(), numbers(0, 5))
    assert torch.equal(fork.joined(), numbers(0, 3))


class Values(RuleBasedStateMachine):
    """Any values of one tensor, each beside the list of what it should hold."""

    @initialize()
    def begin(self) -> None:
        like = PagedTensor.like(torch.zeros(0, dtype=torch.int64), 0, PageSizes(1, 4))
        self.values = [(like, list[int]())]
        self.next = 0

    @rule(which=st.integers(0, 9), count=st.integers(0, 5), taken=st.booleans())
    def append(self, which: int, count: int, taken: bool) -> None:
        """The longer one takes the place of the value, or is let go."""
        growing, expected = self.values[which % len(self.values)]
        new = list(range(self.next, self.next + count))
        self.next += count
        longer = growing.append(torch.tensor(new, dtype=torch.int64))
        assert longer.joined().tolist() == [*expected, *new]
        if taken:
            self.values[which % len(self.values)] = longer, [*expected, *new]

    @rule(which=st.integers(0, 9))
    def fork(self, which: int) -> None:
        growing, expected = self.values[which % len(self.values)]
        self.values.append((growing.fork(), list(expected)))

    @rule(which=st.integers(0, 9), count=st.integers(1, 5))
    def fork_of_a_draft(self, which: int, count: int) -> None:
        growing, expected = self.values[which % len(self.values)]
        new = list(range(self.next, self.next + count))
        self.next += count
        longer = growing.append(torch.tensor(new, dtype=torch.int64))
        self.values.append((longer.fork(), [*expected, *new]))

    @invariant()
    def every_value_holds_its_own_numbers(self) -> None:
        for growing, expected in self.values:
            assert growing.joined().tolist() == expected


TestValues = Values.TestCase
TestValues.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
