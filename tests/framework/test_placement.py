"""Slots placed without gaps, against plain loops; what they span, and what stays as it was."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossframe.framework import Slots, close_gaps, next_position, placed_after, span

Place = list[int]  # one number per axis


def text(start: int, count: int) -> list[Place]:
    return [[start + n] * 3 for n in range(count)]


def grid(start: int, height: int, width: int) -> list[Place]:
    return [
        [start, start + row, start + column] for row in range(height) for column in range(width)
    ]


def stream(seed: int, axes: int) -> list[tuple[int, Place]]:
    """Frame number and position of every token: a prompt, then frames with a marker before each."""
    draw = random.Random(seed)
    tokens = [(-1, place) for place in text(0, draw.randint(0, 3))]
    for frame in range(draw.randint(1, 6)):
        start = max((max(place) for _, place in tokens), default=-1) + 1
        marker, picture = text(start, 1), grid(start + 1, draw.randint(1, 3), draw.randint(1, 3))
        tokens += [(frame, place) for place in marker + picture]
    if axes == 1:
        return [(frame, [number]) for number, (frame, _) in enumerate(tokens)]
    return tokens


def make(heads: list[list[list[int]]], tokens: list[tuple[int, Place]]) -> Slots:
    """Slots of the token numbers that every row and head holds, padded in front."""
    most = max(len(head) for row in heads for head in row)
    padded = [[[*range(-most, -len(head)), *head] for head in row] for row in heads]
    numbers = torch.tensor(padded)
    real = numbers >= 0
    places = torch.tensor([place for _, place in tokens]).T
    frames = torch.tensor([frame for frame, _ in tokens])
    known = numbers.clamp(min=0)
    keys = torch.randn(*numbers.shape, 4)
    return Slots(
        keys=keys,
        values=keys,
        index=numbers,
        frame=frames[known],
        visual=real,
        positions=places[:, known],
        valid=None if bool(real.all()) else real,
    )


def contiguous(held: list[tuple[int, Place]], end: int) -> list[Place]:
    """From the last to the first: under RoPE each before the one behind it, else each frame."""
    if held and len(held[0][1]) == 1:
        return [[end - len(held) + n] for n in range(len(held))]
    moved: list[Place] = []
    last = len(held)
    while last > 0:
        first = last
        while first > 0 and held[first - 1][0] == held[last - 1][0]:
            first -= 1
        run = [place for _, place in held[first:last]]
        shift = max(0, end - 1 - max(map(max, run)))
        run = [[x + shift for x in place] for place in run]
        moved, end, last = run + moved, min(map(min, run)), first
    return moved


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[list[int]]], list[tuple[int, Place]]]:
    tokens = stream(draw(st.integers(0, 10**6)), draw(st.sampled_from([1, 3])))
    numbers = st.lists(st.integers(0, len(tokens) - 1), unique=True, min_size=1).map(sorted)
    heads = draw(st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=3))
    return heads, tokens


@settings(max_examples=150)
@given(cases(), st.integers(0, 20))
def test_gaps_are_closed_as_in_plain_loops(case, ahead: int) -> None:
    heads, tokens = case
    slots = make(heads, tokens)
    end = max(max(place) for _, place in tokens) + 1 + ahead
    placed = close_gaps(slots, torch.full((len(heads),), end))
    spans = span(slots, torch.full((len(heads),), end))
    for row, of_row in enumerate(heads):
        for head, numbers in enumerate(of_row):
            held = [tokens[number] for number in numbers]
            real = placed.index[row, head] >= 0
            got = placed.positions[:, row, head, real].T.tolist()
            assert got == contiguous(held, end)
            assert spans[row, head] == end - min(min(place) for _, place in held)
    assert torch.equal(placed.keys, slots.keys) and placed.rotated is slots.rotated


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_a_stream_without_gaps_stays_where_it_is(seed: int, axes: int) -> None:
    tokens = stream(seed, axes)
    slots = make([[list(range(len(tokens)))] * 2], tokens)
    placed = close_gaps(slots, next_position(slots))
    assert torch.equal(placed.positions, slots.positions)


@pytest.mark.parametrize("axes", [1, 3])
def test_placing_twice_is_placing_once(axes: int) -> None:
    tokens = stream(3, axes)
    slots = make([[list(range(0, len(tokens), 3))] * 2], tokens)
    end = torch.tensor([max(max(place) for _, place in tokens) + 9])
    once = close_gaps(slots, end)
    assert not torch.equal(once.positions, slots.positions)
    assert torch.equal(close_gaps(once, end).positions, once.positions)
    assert once.moved and once.rotated is slots.positions


def test_padding_takes_no_part_in_its_frame() -> None:
    # What `keep` leaves in front of a shorter head are slots evicted from it, of the same frame.
    tokens = [(0, place) for place in grid(0, 3, 3)]
    slots = make([[list(range(9))] * 2], tokens)
    mask = torch.tensor([[True] * 9, [True, *[False] * 8]])
    placed = close_gaps(slots.keep(mask), torch.tensor([3]))
    assert placed.positions[:, 0, 1, -1].tolist() == [2, 2, 2]
    assert torch.equal(placed.positions[:, 0, 0], slots.positions[:, 0, 0])


def test_every_row_of_a_batch_has_its_own_end() -> None:
    tokens = [(n, [n]) for n in range(9)]
    slots = make([[[0, 4], [1, 2]], [[3, 7], [0, 8]]], tokens)
    placed = close_gaps(slots, torch.tensor([9, 20]))
    assert placed.positions[0].tolist() == [[[7, 8], [7, 8]], [[18, 19], [18, 19]]]


def test_frames_that_run_side_by_side_on_an_axis_are_never_pushed_back() -> None:
    # Qwen2.5-VL: time goes on by 4 a frame, rows and columns stay.
    tokens = [(f, [4 * f, r, c]) for f in range(5) for _, r, c in grid(0, 2, 2)]
    held = [0, 3, 9, 17, 18]
    slots = make([[held, held]], tokens)
    placed = close_gaps(slots, next_position(slots))
    shift = placed.positions - slots.positions
    assert bool((shift >= 0).all())
    assert bool((shift == shift[:1]).all()), "all axes of a slot move alike"


def test_no_slots_have_no_gaps_and_span_nothing() -> None:
    tokens = [(n, [n]) for n in range(4)]
    empty = make([[[0, 1], [0, 1]]], tokens).keep(torch.arange(0))
    assert close_gaps(empty, torch.tensor([4])) is empty
    assert span(empty, torch.tensor([4])).tolist() == [[0, 0]]


def test_a_head_without_real_slots_spans_nothing() -> None:
    tokens = [(n, [n]) for n in range(4)]
    slots = make([[[], [1]]], tokens)
    assert span(slots, torch.tensor([4])).tolist() == [[0, 3]]


def test_the_next_position_is_behind_the_newest_token_of_each_row() -> None:
    slots = make([[[0, 2]] * 2, [[0, 3]] * 2], [(n, [5 * n]) for n in range(4)])
    assert next_position(slots).tolist() == [11, 16]


def test_what_a_step_kept_whole_stays_in_place_until_something_was_evicted() -> None:
    tokens = [(n, [10 * n]) for n in range(5)]
    slots = make([[list(range(5))] * 2], tokens)
    assert placed_after(slots, slots) is slots
    kept = placed_after(slots, slots.keep(torch.tensor([0, 3, 4])))
    assert kept.positions[0, 0, 0].tolist() == [38, 39, 40]
    # Evicted earlier: the gap is there although this step kept all.
    later = replace(kept, positions=kept.positions - torch.tensor([9, 2, 0]))
    assert placed_after(later, later).positions[0, 0, 0].tolist() == [38, 39, 40]
    ragged = slots.keep(torch.tensor([[True] * 5, [False, *[True] * 4]]))
    assert placed_after(slots, ragged).positions[0, 0, 1, 1:].tolist() == [37, 38, 39, 40]
