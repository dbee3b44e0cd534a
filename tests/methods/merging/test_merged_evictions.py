"""Merged evictions against plain loops that make every mean anew from the tokens' own keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    Slots,
    VideoSession,
    WrappedMemory,
    close_gaps,
    next_position,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing import check_law, memory_machine
from crossframe.methods import (
    IsolatedFramesMemory,
    MergedEvictions,
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
)

from ..loops import cosine

# The places that stay of a head, given its batch row and number.
Chooses = Callable[[Any, int, int], list[int]]


@dataclass(frozen=True)
class Ragged(CrossFrameMemory):
    """Drops every second, third or fourth token, by row and head, and all but the newest 12."""

    def update(self, slots: Slots) -> Slots:
        batch, heads = slots.index.shape[:2]
        every = 2 + torch.arange(batch * heads).view(batch, heads, 1) % 3
        old = slots.index < slots.index[..., -1:] - 12
        return slots.keep((slots.index % every != 0) & ~old)


@dataclass(frozen=True)
class Closed(WrappedMemory):
    """Places what the inner memory keeps without gaps."""

    def update(self, slots: Slots) -> Slots:
        return close_gaps(self.inner.update(slots), next_position(slots))


def by_mass(capacity: int) -> Chooses:
    def chosen(head: Any, row: int, k: int) -> list[int]:
        places = range(len(head.slots))
        return sorted(sorted(places, key=lambda p: (head.mass[p], p))[-capacity:])

    return chosen


def newest(capacity: int) -> Chooses:
    return lambda head, row, k: list(range(len(head.slots)))[-capacity:]


def window(frames: int) -> Chooses:
    def chosen(head: Any, row: int, k: int) -> list[int]:
        last = head.slots[-1].frame
        return [p for p, slot in enumerate(head.slots) if slot.frame > last - frames]

    return chosen


def ragged(head: Any, row: int, k: int) -> list[int]:
    every, last = 2 + (2 * row + k) % 3, head.slots[-1].number
    numbers = [slot.number for slot in head.slots]
    return [p for p, number in enumerate(numbers) if number % every and number >= last - 12]


def loops(chosen: Chooses, threshold: float) -> Callable[[Any, int, int], list[Any]]:
    """Each evicted slot to the most alike of the kept ones, then means of all their tokens."""

    def rule(head: Any, row: int, k: int) -> list[Any]:
        kept = chosen(head, row, k)
        joined: dict[int, list[int]] = {place: [] for place in kept}
        for place in range(len(head.slots)):
            if place in kept or not head.slots[place].visual:
                continue
            key = head.key(head.slots[place])
            likeness = [
                (cosine(key, head.key(head.slots[k])), k) for k in kept if head.slots[k].visual
            ]
            if likeness and max(likeness)[0] >= threshold:
                joined[max(likeness)[1]].append(place)
        tokens = {
            k: [n for place in (k, *joined[k]) for n in head.slots[place].shares] for k in kept
        }
        for k, numbers in tokens.items():
            assert len(set(numbers)) == len(numbers), "a token counts once"
            head.slots[k].shares = dict.fromkeys(numbers, 1 / len(numbers))
        return [head.slots[k] for k in kept]

    return rule


@pytest.mark.parametrize(
    ("inner", "chosen", "threshold", "axes", "frames_per_step"),
    [
        (StateKVMemory(14), by_mass(14), 0.5, 1, 1),
        (StateKVMemory(12), by_mass(12), -1.0, 3, 2),
        (RecencyMemory(11), newest(11), 0.2, 3, 1),
        (SlidingWindowMemory(2), window(2), 0.4, 1, 1),
        (Ragged(), ragged, 0.3, 1, 2),
    ],
    ids=lambda value: "" if callable(value) else repr(value),
)
def test_merged_slots_are_those_of_plain_loops(
    equals_merging_loops, inner, chosen, threshold, axes, frames_per_step
) -> None:
    met = equals_merging_loops(
        MergedEvictions(inner, threshold),
        loops(chosen, threshold),
        axes=axes,
        frames_per_step=frames_per_step,
    )
    assert met > 200


@pytest.mark.parametrize("law", ["1 attention", "4 positions", "4 merging", "10 saving", "13 cost"])
@pytest.mark.parametrize("inner", [Ragged(), Closed(StateKVMemory(5)), Closed(Ragged())], ids=repr)
def test_laws_hold_for_ragged_and_moved_slots(inner: CrossFrameMemory, law: str) -> None:
    check_law(law, MergedEvictions(inner, 0.1), max_examples=2)


def test_a_copy_joins_its_original_wherever_it_stands(frames) -> None:
    # In the first layer keys before RoPE depend on the embedding alone: a still frame adds nothing
    # new, and the means stay the keys of the first frame.
    first, *rest = frames(4, 4, 4, 4)
    still = [FrameTokens(first.embeds, frame.positions) for frame in rest]
    session = VideoSession(ReferenceDecoder(), MergedEvictions(RecencyMemory(4), 1 - 1e-9))
    for frame in (first, *still):
        session.push(frame)
    slots = session.slots(0)
    assert slots.stats["merged"].tolist() == [[[3] * 4] * 2]
    newest = session.archive.layers[0]["keys"].joined()[:, :, -4:]
    torch.testing.assert_close(slots.keys, newest, rtol=0, atol=1e-9)


def slots_of(keys: Sequence[Sequence[float]], visual: Sequence[bool] | None = None) -> Slots:
    """One head; values are the token numbers, and turning leaves keys alone."""
    index = torch.arange(len(keys))[None, None]
    return Slots(
        keys=torch.tensor([[keys]], dtype=torch.float64),
        values=index[..., None].double(),
        index=index,
        frame=index,
        visual=index >= 0 if visual is None else torch.tensor([[visual]]),
        positions=index[None],
        num_new=len(keys),
        turn=lambda keys, delta: keys,
    )


def test_only_what_is_alike_enough_is_merged() -> None:
    keys = [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0), (2.0, 0.0)]
    kept = MergedEvictions(RecencyMemory(2), 0.8).update(slots_of(keys))
    # The first lies on the fourth; the second has cosine 0.8 with the third and 0.6 with the other.
    assert kept.index.tolist() == [[[2, 3]]]
    assert kept.keys.tolist() == [[[[1.5, 2.5], [1.5, 0.0]]]]
    assert kept.values.tolist() == [[[[1.5], [1.5]]]]
    assert kept.stats["merged"].tolist() == [[[1, 1]]]
    strict = MergedEvictions(RecencyMemory(2), 0.81).update(slots_of(keys))
    assert strict.keys.tolist() == [[[[0.0, 1.0], [1.5, 0.0]]]]
    assert strict.stats["merged"].tolist() == [[[0, 1]]]


def test_of_equally_similar_slots_the_newer_is_joined() -> None:
    kept = MergedEvictions(RecencyMemory(3), 0.5).update(
        slots_of([(1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (0.0, 1.0)])
    )
    assert kept.stats["merged"].tolist() == [[[0, 1, 0]]]


def test_a_copy_joins_the_newest_copy_of_any_that_rounding_tells_apart() -> None:
    # In float32 these have cosines from 1 - 2^-23 to 1 + 2^-23 with each other.
    key = torch.tensor([0.3, -1.7, 0.9])
    keys = [(key * (1 + n / 7)).tolist() for n in range(40)]
    slots = slots_of(keys)
    slots.keys = slots.keys.float()
    kept = MergedEvictions(RecencyMemory(39), 1 - 1e-6).update(slots)
    assert kept.stats["merged"].tolist() == [[[0] * 38 + [1]]]


def test_a_threshold_of_minus_one_merges_what_is_opposite() -> None:
    key = torch.tensor([0.3, -1.7, 0.9])
    for scale in torch.linspace(-3, -1, 50):
        slots = slots_of([key.tolist(), (scale * key).tolist()])
        slots.keys = slots.keys.float()
        kept = MergedEvictions(RecencyMemory(1), -1.0).update(slots)
        assert kept.stats["merged"].item() == 1


def test_a_merged_slot_that_is_evicted_brings_all_its_tokens() -> None:
    slots = slots_of([(1.0, 0.0), (4.0, 0.0)])
    slots.stats["merged"] = torch.tensor([[[4, 0]]])
    kept = MergedEvictions(RecencyMemory(1), 0.5).update(slots)
    assert kept.stats["merged"].item() == 5
    torch.testing.assert_close(kept.keys[0, 0, 0, 0].item(), (5 * 1 + 4) / 6)
    torch.testing.assert_close(kept.values.item(), (5 * 0 + 1) / 6)


def test_a_mean_of_an_hour_of_tokens_is_exact() -> None:
    slots = slots_of([(300.0, 0.0), (100.0, 0.0)])
    slots.stats["merged"] = torch.tensor([[[2_999_999, 999_999]]])
    kept = MergedEvictions(RecencyMemory(1), 0.5).update(slots)
    assert kept.keys[0, 0, 0, 0].item() == pytest.approx(250.0, abs=1e-9)


def test_text_neither_joins_nor_is_joined() -> None:
    same = [(1.0, 0.0)] * 4
    for visual, merged in [
        ([True, True, False, True], [0, 2]),
        ([False, True, True, True], [0, 1]),
        ([True, True, False, False], [0, 0]),
    ]:
        kept = MergedEvictions(RecencyMemory(2), -1.0).update(slots_of(same, visual))
        assert kept.stats["merged"].tolist() == [[merged]], visual


def test_padding_takes_nothing_in_and_hides_nothing() -> None:
    one = slots_of([(1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 0.1)])
    both = replace(
        one,
        **{
            name: getattr(one, name).expand(1, 2, *getattr(one, name).shape[2:])
            for name in ("keys", "values", "index", "frame", "visual")
        },
        positions=one.positions.expand(1, 1, 2, -1),
        rotated=None,
    )

    class Uneven(CrossFrameMemory):
        """The last slot of the first head, three of the second."""

        def update(self, slots: Slots) -> Slots:
            return slots.keep(torch.tensor([[[False] * 3 + [True], [False] + [True] * 3]]))

    kept = MergedEvictions(Uneven(), 0.5).update(both)
    # The first head's padding holds copies of what it lost.
    assert kept.stats["merged"][0, 0, -1] == 2
    assert kept.stats["merged"][0, 1].tolist() == [1, 0, 0]
    assert kept.values[0, 0, -1].item() == pytest.approx((0 + 1 + 3) / 3)


def test_slots_that_nothing_joined_keep_every_bit(frames) -> None:
    session = VideoSession(ReferenceDecoder(), MergedEvictions(StateKVMemory(6), 0.7))
    session.push(frames(*[5] * 12))
    slots, archived = session.slots(1), session.archive.layers[1]["keys"].joined()
    alone = slots.stats["merged"][0, 0] == 0
    assert 0 < alone.sum() < 6
    produced = archived[0, 0, slots.index[0, 0][alone]]
    assert torch.equal(slots.keys[0, 0][alone], produced)


@pytest.mark.parametrize("inner", [FullMemory(), StateKVMemory(None), IsolatedFramesMemory()])
def test_where_nothing_or_everything_is_evicted_nothing_is_merged(inner, frames) -> None:
    merged = VideoSession(ReferenceDecoder(), MergedEvictions(inner, -1.0))
    plain = VideoSession(ReferenceDecoder(), inner)
    for session in (merged, plain):
        session.push(frames(4, 4, 4))
    assert "merged" not in merged.slots(0).stats
    assert torch.equal(merged.slots(0).keys, plain.slots(0).keys)


def test_a_memory_that_decides_for_all_layers_at_once_still_does(frames) -> None:
    class Together(CrossFrameMemory):
        """Keeps as many slots as there are layers: only `update_layers` can know."""

        def update(self, slots: Slots) -> Slots:
            raise AssertionError("never asked about one layer alone")

        def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
            return [slots.keep(torch.arange(len(layers))) for slots in layers]

    session = VideoSession(ReferenceDecoder(), MergedEvictions(Together(), -1.0))
    session.push(frames(4, 4))
    assert session.slots(1).index.tolist() == [[[0, 1]] * 2]
    assert session.slots(1).stats["merged"].sum(-1).tolist() == [[6, 6]]


def test_it_reads_no_numbers_on_the_host_where_the_inner_memory_reads_none() -> None:
    memory = MergedEvictions(StateKVMemory(3), 0.5)
    assert (memory.graphable, memory.merges, memory.needs_mass) == (True, True, True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        index = torch.zeros(2, 3, 5, dtype=torch.int64, device="cuda")
        rows = torch.zeros(2, 3, 5, 4, device="cuda")
        slots = Slots(
            rows,
            rows,
            index,
            index,
            index.bool(),
            index[None],
            mass=rows[..., 0],
            turn=lambda keys, delta: keys,
        )
        kept = memory.update(slots)
    assert kept.keys.shape == (2, 3, 3, 4)
    assert kept.stats["merged"].shape == (2, 3, 3)


def test_means_have_the_models_dtype(frames) -> None:
    memory = MergedEvictions(StateKVMemory(6), -1.0)
    session = VideoSession(ReferenceDecoder(float_type=torch.bfloat16), memory)
    for frame in frames(*[5] * 6):
        session.push(replace(frame, embeds=frame.embeds.bfloat16()))
    slots = session.slots(0)
    assert slots.keys.dtype == slots.values.dtype == torch.bfloat16
    assert slots.stats["merged"].sum() == 2 * (30 - 6)


TestMergedEvictions = memory_machine(
    MergedEvictions(StateKVMemory(4), 0.1), max_examples=8
).TestCase
