"""`Slots.keep` and `Slots.mass_of`: what is kept, in which order, and what is refused."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from crossframe.framework import CrossFrameMemory, FrameTokens, Slots, VideoSession
from crossframe.framework.model import VideoModel
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.slots import join_slots, on_device
from crossframe.framework.stream.costs import held_bytes

TRAVELLERS = ("keys", "values", "index", "frame", "visual", "positions", "rotated", "mass")


def numbers(*lead: int, slots: int, start: int = 0) -> Tensor:
    """Distinct per row and head, rising along the slots."""
    rows = torch.arange(start, start + slots)
    rows = rows + 100 * torch.arange(2)[:, None] + 1000 * torch.arange(3)[:, None, None]
    return rows.expand(*lead, 3, 2, slots)


def make(slots: int, start: int = 0, **more: Any) -> Slots:
    """Batch 3, 2 KV heads; every tensor tells where its slots came from."""
    own = numbers(slots=slots, start=start)
    given: dict[str, Any] = {
        "keys": own[..., None] + torch.tensor([0.0, 0.5]),
        "values": -own[..., None] - torch.tensor([0.0, 0.5]),
        "index": own,
        "frame": own // 2,
        "visual": own % 3 == 0,
        "positions": numbers(3, slots=slots, start=start),
        "mass": own * 0.1,
        "stats": {"age": own * 2.0},
    }
    return Slots(**{**given, **more})


def head_of(slots: Slots, name: str, row: int, head: int) -> Tensor:
    """One tensor of one head, [..., S]."""
    value = getattr(slots, name)
    return value[row, head].T if name in ("keys", "values") else value[..., row, head, :]


def test_keeping_by_indices_takes_every_tensor_along() -> None:
    slots = make(5, rotated=numbers(3, slots=5) - 7, num_new=2, layer=1, num_layers=4)
    rows = torch.tensor([[[0, 2], [1, 4]], [[2, 3], [3, 4]], [[0, 1], [0, 4]]])
    kept = slots.keep(rows)
    for name in TRAVELLERS:
        for row in range(3):
            for head in range(2):
                expected = head_of(slots, name, row, head)[..., rows[row, head]]
                assert torch.equal(head_of(kept, name, row, head), expected), name
    assert torch.equal(kept.stats["age"], slots.stats["age"].gather(-1, rows))
    assert (kept.num_new, kept.layer, kept.num_layers, kept.valid) == (0, 1, 4, None)
    assert kept.moved


def test_one_row_of_indices_serves_all_heads() -> None:
    kept = make(4).keep(torch.tensor([1, 3]))
    assert torch.equal(kept.index, make(4).index[..., [1, 3]])
    assert not kept.moved


@pytest.mark.parametrize("which", [torch.zeros(0, dtype=torch.int64), torch.zeros(4) > 0])
def test_nothing_may_be_kept(which: Tensor) -> None:
    kept = make(4).keep(which)
    assert kept.keys.shape == (3, 2, 0, 2)
    assert kept.index.shape == (3, 2, 0)
    assert kept.valid is None


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ([1, 0], "strictly ascending .* sort the indices before keep"),
        ([1, 1], "strictly ascending"),
        ([0, 4], r"must lie in 0\.\.3, got 0\.\.4"),
        ([-1, 2], r"must lie in 0\.\.3, got -1\.\.2"),
    ],
)
def test_unsorted_repeated_and_outside_indices_are_refused(which: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(4).keep(torch.tensor(which))


def test_one_head_out_of_order_is_enough() -> None:
    rows = torch.tensor([0, 1]).repeat(3, 2, 1)
    rows[2, 1] = torch.tensor([3, 2])
    with pytest.raises(ValueError, match="strictly ascending"):
        make(4).keep(rows)


def test_a_mask_with_equal_counts_keeps_the_same_as_indices() -> None:
    mask = torch.tensor([[True, False, True, False], [False, False, True, True]]).expand(3, 2, 4)
    rows = torch.tensor([[0, 2], [2, 3]]).expand(3, 2, 2)
    by_mask, by_rows = make(4).keep(mask), make(4).keep(rows)
    assert by_mask.valid is None
    for name in TRAVELLERS:
        assert torch.equal(getattr(by_mask, name), getattr(by_rows, name)), name


@st.composite
def masks(draw: st.DrawFn, slots: int = 6) -> Tensor:
    flags = draw(st.lists(st.booleans(), min_size=6 * slots, max_size=6 * slots))
    return torch.tensor(flags).view(3, 2, slots)


@given(masks(), masks())
def test_a_ragged_mask_keeps_each_heads_own_slots_in_order(first: Tensor, second: Tensor) -> None:
    """Also when the kept slots are thinned again."""
    slots = make(6)
    once = slots.keep(first)
    again = once.keep(second[..., : once.num_slots])
    for kept in (once, again):
        assert bool((kept.index.diff(dim=-1) > 0).all())
        assert kept.mass is not None
    for row in range(3):
        for head in range(2):
            expected = slots.index[row, head][first[row, head]]
            assert torch.equal(real(once, "index", row, head), expected)
            padding = once.num_slots - len(expected)
            wanted = expected[second[row, head, padding : once.num_slots]]
            for name in ("index", "frame", "visual", "mass"):
                whole = getattr(slots, name)[row, head]
                chosen = torch.isin(slots.index[row, head], wanted)
                assert torch.equal(real(again, name, row, head), whole[chosen]), name


def real(slots: Slots, name: str, row: int, head: int) -> Tensor:
    """One tensor of one head without its padding, which must lie in front and be marked."""
    value = getattr(slots, name)[row, head]
    if slots.valid is None:
        return value
    valid = slots.valid[row, head]
    assert bool((valid.int().diff() >= 0).all()), "padding must lie in front"
    assert bool((slots.index[row, head] < 0).eq(~valid).all())
    assert slots.mass is not None
    assert not slots.mass[row, head][~valid].any(), "padding must not have mass"
    return value[valid]


def test_a_ragged_result_is_as_wide_as_its_fullest_head() -> None:
    mask = torch.zeros(3, 2, 6, dtype=torch.bool)
    mask[0, 1, [1, 3, 5]] = True
    mask[2, 0, 4] = True
    kept = make(6).keep(mask)
    assert kept.num_slots == 3
    assert kept.valid is not None
    assert kept.valid.sum(-1).tolist() == [[0, 3], [0, 0], [1, 0]]


def test_joining_puts_the_step_behind_what_is_carried() -> None:
    carried = make(3, rotated=numbers(3, slots=3) - 5, state={"runs": torch.ones(2)})
    new = make(2, start=3, stats={"fresh": torch.ones(3, 2, 2)}, num_new=2)
    joined = join_slots(carried, new)
    assert torch.equal(joined.index, numbers(slots=5))
    assert joined.keys.shape == (3, 2, 5, 2)
    assert joined.rotated is not None
    assert torch.equal(joined.rotated[0, 0, 0], torch.tensor([-5, -4, -3, 3, 4]))
    assert torch.equal(joined.stats["age"][0, 0], torch.tensor([0.0, 2, 4, 0, 0]))
    assert torch.equal(joined.stats["fresh"][0, 0], torch.tensor([0.0, 0, 0, 1, 1]))
    joined.state["runs"] = torch.zeros(2)
    assert carried.state["runs"].tolist() == [1, 1], "a step must not write into the carried state"


def test_all_tensors_have_names_and_all_with_slots_are_mapped() -> None:
    slots = make(4, valid=numbers(slots=4) >= 0, reduced={"max": numbers(slots=4) * 1.0})
    slots = replace(slots, probe_mass=numbers(slots=4) * 1.0, state={"runs": torch.ones(2)})
    columns = {*TRAVELLERS, "probe_mass", "valid", "reduced.max", "stats.age"} - {"rotated"}
    assert dict(slots.tensors()).keys() == columns | {"state.runs"}
    last = slots.map(lambda value, dim: value.narrow(dim, 3, 1))
    for name, value in last.tensors():
        whole = dict(slots.tensors())[name]
        dim = -2 if name in ("keys", "values") else -1
        assert torch.equal(value, whole if name == "state.runs" else whole.narrow(dim, 3, 1)), name
    moved = replace(slots, positions=slots.positions + 1)
    assert dict(moved.tensors()).keys() == columns | {"rotated", "state.runs"}


def test_whole_numbers_are_joined_as_one_and_nothing_replaced_is_held() -> None:
    joined = join_slots(make(3, mass=None), make(2, start=3, mass=None))
    assert joined.rotated is not None
    numbers_held = [joined.index, joined.frame, joined.rotated]
    own = sum(tensor.numel() for tensor in numbers_held) * 8
    assert held_bytes(numbers_held) == held_bytes([joined.index]) == own
    settled = replace(joined, frame=joined.frame + 1).settled()
    assert torch.equal(settled.frame, joined.frame + 1) and not settled.moved
    assert torch.equal(settled.index, joined.index)
    assert held_bytes([settled.index, settled.frame, settled.positions]) == own


def test_positions_need_not_be_whole_numbers() -> None:
    halves = make(3, positions=numbers(1, slots=3) + 0.5, mass=None)
    joined = join_slots(halves, make(2, start=3, positions=numbers(1, slots=2) + 0.25, mass=None))
    kept = joined.keep(torch.tensor([1, 4])).settled()
    assert kept.index.dtype == torch.int64 and kept.index[0, 0].tolist() == [1, 4]
    assert kept.positions[0, 0, 0].tolist() == [1.5, 1.25] and not kept.moved


def test_joining_marks_new_slots_as_real_beside_ragged_ones() -> None:
    mask = torch.ones(3, 2, 3, dtype=torch.bool)
    mask[0, 0, :2] = False
    joined = join_slots(make(3).keep(mask), make(2, start=3, num_new=2))
    assert joined.valid is not None
    assert joined.valid[0, 0].tolist() == [False, False, True, True, True]
    assert joined.valid[1:].all()


def test_what_is_carried_joins_a_step_on_the_layers_own_device() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):  # a second device without having one
        moved = make(3, rotated=numbers(3, slots=3) - 5, state={"runs": torch.ones(2)})
        for carried in (moved, make(0), make(3, valid=numbers(slots=3) > 0)):
            new = make(2, start=3, num_new=2, mass=None)
            joined = join_slots(carried, on_device(new, torch.device("cuda:0")))
            held = dict(joined.tensors())
            assert {str(tensor.device) for tensor in held.values()} == {"cuda:0"}
            assert joined.num_slots == carried.num_slots + 2
            assert joined.moved == carried.moved and joined.state.keys() == carried.state.keys()


ROWS = [
    torch.tensor([-1]),
    torch.tensor([0, 2]),
    torch.tensor([-2, -1]),
    torch.tensor([True, False, True]),
    torch.tensor([False, False, False]),
]


@dataclass(frozen=True)
class AsksForMass(CrossFrameMemory):
    """Notes `mass_of` for all ROWS, and the slots it belongs to."""

    noted: list[tuple[Slots, list[Tensor]]]
    needs_mass = True

    def update(self, slots: Slots) -> Slots:
        rows = ROWS if slots.num_new == 3 else []
        self.noted.append((slots, [slots.mass_of(which) for which in rows]))
        return slots


@dataclass(eq=False)
class Recording(ReferenceDecoder):
    """Keeps the queries of the last step, by layer."""

    def step(
        self, frame: FrameTokens, attention: Any, max_tokens: int, recurrent: Any = None
    ) -> Tensor:
        self.queries: dict[int, Tensor] = {}

        def watch(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
            self.queries[layer] = query
            return attention(layer, query, key, value, scale)

        return super().step(frame, watch, max_tokens, recurrent)


def push(session: VideoSession, tokens: int) -> None:
    model: VideoModel = session.model
    positions = model.text_positions(session.cursor, 2, tokens)
    session.push(FrameTokens(torch.randn(2, tokens, 24, dtype=torch.float64), positions))


def test_mass_of_equals_a_plain_softmax_over_what_each_row_sees() -> None:
    memory, model = AsksForMass([]), Recording()
    session = VideoSession(model, memory)
    push(session, 4)
    push(session, 3)
    for slots, handed_out in memory.noted[-2:]:
        keys = slots.keys.repeat_interleave(2, 1)
        scores = model.queries[slots.layer] @ keys.transpose(-1, -2) * 8**-0.5
        weights = torch.stack(
            [
                torch.nn.functional.pad(scores[:, :, t, : 5 + t].softmax(-1), (0, 2 - t))
                for t in range(3)
            ],
            2,
        )
        for rows, got in zip(ROWS, handed_out, strict=True):
            torch.testing.assert_close(got, weights[:, :, rows].sum(2))
        assert slots.mass is not None
        torch.testing.assert_close(slots.mass, weights.sum(2).unflatten(1, (2, 2)).sum(2))


def test_outside_a_step_there_are_no_queries_to_ask() -> None:
    memory = AsksForMass([])
    session = VideoSession(ReferenceDecoder(), memory)
    push(session, 2)
    with pytest.raises(RuntimeError, match="only inside update"):
        session.slots(0).mass_of(torch.tensor([-1]))
    seen = replace(memory.noted[0][0])
    with pytest.raises(RuntimeError, match="only inside update"):
        seen.keep(torch.tensor([0])).mass_of(torch.tensor([-1]))
