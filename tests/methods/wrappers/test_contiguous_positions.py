"""Contiguous positions against keys rotated anew from before RoPE, and streams of any length."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    ScoringMemory,
    Slots,
    VideoSession,
    close_gaps,
    next_position,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.step import readable_keys
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    IsolatedFramesMemory,
    LayerBudgets,
    ProtectedSinks,
    ReadCarried,
    ReservoirMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from ...framework.streams import frames
from ...framework.test_placement import contiguous
from ..loops import rope


@dataclass(eq=False)
class Unrotated(ReferenceDecoder):
    """Notes every key before RoPE, layer after layer."""

    noted: list[Tensor] = field(default_factory=list)

    def rotate(self, keys: Tensor, delta: Tensor, max_tokens: int) -> Tensor:
        # The decoder itself rotates with max_tokens 0, sessions with their plan; queries have more
        # heads than keys.
        if max_tokens == 0 and keys.shape[1] == self.spec.num_kv_heads:
            self.noted.append(keys.double())
        return super().rotate(keys, delta, max_tokens)


@dataclass
class Held:
    number: int
    frame: int
    raw: list[float]  # before RoPE
    value: Tensor
    place: list[int]


class Recomputed:
    """A decoder whose carried keys are rotated anew, for every step, from before RoPE.

    What is kept it takes from a session; where that stands, and everything else, it finds itself.
    """

    def __init__(self, model: Unrotated, max_reach: int | None) -> None:
        self.model, self.max_reach, self.seen = model, max_reach, 0
        self.held: dict[tuple[int, int, int], list[Held]] = {}
        self.keys: list[Tensor] = []

    def push(self, frame: FrameTokens, number: int) -> None:
        self.positions, self.frame = frame.positions, number
        self.keys = []
        self.model.step(frame, self._attend, 0)
        self.seen += frame.num_tokens

    def _attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        self.keys.append(key)
        output, group = torch.zeros_like(query), query.shape[1] // key.shape[1]
        for row in range(query.shape[0]):
            for head in range(key.shape[1]):
                before = self.held.get((layer, row, head), [])
                read = [rope(slot.raw, slot.place) for slot in before]
                keys = torch.cat([torch.tensor(read, dtype=key.dtype).view(-1, 8), key[row, head]])
                values = torch.stack([*(slot.value for slot in before), *value[row, head]])
                for q in range(head * group, (head + 1) * group):
                    for t in range(query.shape[2]):
                        count = len(before) + t + 1
                        weights = (keys[:count] @ query[row, q, t] * scale).softmax(0)
                        output[row, q, t] = weights @ values[:count]
                raw = self.model.noted[-1][row, head].tolist()
                new = [
                    Held(self.seen + t, self.frame, raw[t], value[row, head, t], place)
                    for t, place in enumerate(self.positions[:, row].T.tolist())
                ]
                self.held[layer, row, head] = before + new
        return output

    def evict(self, session: VideoSession) -> None:
        end = int(self.positions.max()) + 1
        for (layer, row, head), slots in self.held.items():
            kept = set(session.slots(layer).index[row, head].tolist())
            left = [slot for slot in slots if slot.number in kept]
            far = left and end - min(min(slot.place) for slot in left) > (self.max_reach or 0)
            if len(left) < self.seen and far:
                places = contiguous([(slot.frame, slot.place) for slot in left], end)
                for slot, place in zip(left, places, strict=True):
                    slot.place = place
            self.held[layer, row, head] = left


def stream(axes: int, count: int, batch: int = 2) -> list[FrameTokens]:
    """Frames of a marker and a grid each, as M-RoPE places them, or 0, 1, 2, ... under RoPE."""
    draw, start, made = random.Random(axes), 0, []
    for _ in range(count):
        height, width = draw.randint(1, 2), draw.randint(1, 3)
        places = [[start] * 3]
        corner = start + 1
        places += [[corner, corner + y, corner + x] for y in range(height) for x in range(width)]
        if axes == 1:
            places = [[start + n] for n in range(len(places))]
        start = max(map(max, places)) + 1
        positions = torch.tensor(places).T[:, None].expand(-1, batch, -1)
        embeds = torch.randn(batch, len(places), 24, dtype=torch.float64)
        made.append(FrameTokens(embeds, positions))
    return made


INNERS = [
    StateKVMemory(7),
    ProtectedSinks(SlidingWindowMemory(2), frames=1),
    AdaptiveHeadBudgets(StateKVMemory(6), floor=0.0),
    LayerBudgets(StateKVMemory(8), (1, 3)),
]


PLACING = [
    *(ContiguousPositions(inner, max_reach) for inner in INNERS for max_reach in (None, 22)),
    SinksAndRecentMemory(9, positions="contiguous"),
    ProtectedSinks(SinksAndRecentMemory(9, num_sinks=0, positions="contiguous"), tokens=3),
]


@pytest.mark.parametrize("memory", PLACING, ids=repr)
@pytest.mark.parametrize("axes", [1, 3])
def test_keys_read_as_if_rotated_anew_to_where_they_stand(memory, axes) -> None:
    model = Unrotated(axes=axes, seed=2)
    max_reach = memory.max_reach if isinstance(memory, ContiguousPositions) else None
    session, oracle = VideoSession(model, memory), Recomputed(model, max_reach)
    moved = 0
    for number, frame in enumerate(stream(axes, 25)):
        session.push(frame)
        oracle.push(frame, number)
        for layer, keys in enumerate(oracle.keys):
            # Keys of the second layer depend on what the first one read.
            archived = session.archive.layers[layer]["keys"].joined()[:, :, -frame.num_tokens :]
            torch.testing.assert_close(archived, keys, rtol=0, atol=1e-9)
        oracle.evict(session)
        for (layer, row, head), held in oracle.held.items():
            slots = session.slots(layer)
            real = slots.index[row, head] >= 0
            places = slots.positions[:, row, head, real].T.tolist()
            assert places == [slot.place for slot in held]
            assert slots.rotated is not None
            moved += int((slots.positions != slots.rotated).sum())
    assert moved > 100


@pytest.mark.parametrize("axes", [1, 3])
def test_a_head_moves_only_when_its_own_slots_stand_too_far_back(axes) -> None:
    memory = ContiguousPositions(StateKVMemory(6), max_reach=20)
    session = VideoSession(ReferenceDecoder(axes=axes), memory)
    seen = set()
    for frame in stream(axes, 30, batch=1):
        session.push(frame)
        slots, end = session.slots(0), session.cursor.position
        for head in range(2):
            earliest = int(slots.positions[:, 0, head].min())
            assert end - earliest <= 20
            assert slots.rotated is not None
            stays = torch.equal(slots.positions[:, 0, head], slots.rotated[:, 0, head])
            seen.add((head, stays))
    assert seen == {(0, True), (0, False), (1, True), (1, False)}


@pytest.mark.parametrize("max_reach", [None, 5])
def test_while_nothing_is_evicted_nothing_moves(max_reach) -> None:
    frames = stream(1, 6)
    plain, wrapped = (
        VideoSession(ReferenceDecoder(), memory)
        for memory in (FullMemory(), ContiguousPositions(StateKVMemory(None), max_reach))
    )
    for session in (plain, wrapped):
        session.push(frames)
        assert not session.slots(1).moved
    question = torch.tensor([[3, 1, 4]])
    difference = plain.question_logits(question) - wrapped.question_logits(question)
    assert float(difference.abs().max()) < 1e-12


@dataclass(frozen=True)
class TurnedEveryStep(ScoringMemory):
    """What `ContiguousPositions` avoids: keys turned a little further at every step."""

    merges = True

    def score(self, slots: Slots) -> Tensor:
        return SinksAndRecentMemory(None, num_sinks=8).score(slots)

    def update(self, slots: Slots) -> Slots:
        kept = close_gaps(super().update(slots), next_position(slots))
        merged = torch.ones_like(kept.index)
        turned = replace(kept, keys=kept.keys_at(kept.positions), rotated=kept.positions)
        return replace(turned, stats={"merged": merged})


def errors_of_500_steps(memory: CrossFrameMemory) -> list[float]:
    """Relative errors of the keys read in bfloat16, against float64 from before RoPE."""
    model = Unrotated(float_type=torch.bfloat16)
    session = VideoSession(model, memory)
    raw, errors = torch.zeros(1, 2, 0, 8), []
    generator = torch.Generator().manual_seed(0)
    for step in range(520):
        model.noted.clear()
        embeds = torch.randn(1, 4, 24, generator=generator).bfloat16()
        session.push(FrameTokens(embeds, torch.arange(4 * step, 4 * step + 4)[None, None]))
        raw = torch.cat([raw, model.noted[0]], 2)
        slots = session.slots(0)
        if step in range(10, 60) or step in range(470, 520):
            read = readable_keys(slots, lambda keys, delta: model.rotate(keys, delta, 1)).double()
            exact = [
                [rope(raw[0, head, n].tolist(), [p]) for n, p in zip(*columns, strict=True)]
                for head, columns in enumerate(
                    zip(slots.index[0].tolist(), slots.positions[0, 0].tolist(), strict=True)
                )
            ]
            expected = torch.tensor([exact], dtype=torch.float64)
            errors.append(float((read - expected).norm() / expected.norm()))
    return errors


def test_rounding_does_not_add_up_over_five_hundred_steps() -> None:
    sinks = SinksAndRecentMemory(16, num_sinks=8)
    errors = errors_of_500_steps(ContiguousPositions(sinks))
    first, last = (sum(part) / 50 for part in (errors[:50], errors[-50:]))
    assert last < 1.2 * first
    # Two roundings to 8 bits, of at most 2^-9 each.
    assert max(errors) < 2 * 2**-9


def test_rounding_would_add_up_if_keys_were_turned_every_step() -> None:
    errors = errors_of_500_steps(TurnedEveryStep(16))
    first, last = (sum(part) / 50 for part in (errors[:50], errors[-50:]))
    assert last > 3 * first


def long_stream(session: VideoSession, tokens: int) -> None:
    for frame in frames(*[4] * (tokens // 4)):
        session.push(frame)


ENDLESS = [
    ContiguousPositions(StateKVMemory(16), max_reach=40),
    ContiguousPositions(StateKVMemory(16)),
    ContiguousPositions(LayerBudgets(AdaptiveHeadBudgets(StateKVMemory(16)), (1, 2)), max_reach=40),
]


@pytest.mark.parametrize("memory", ENDLESS, ids=repr)
def test_a_stream_may_be_ten_times_as_long_as_planned(memory) -> None:
    session = VideoSession(ReferenceDecoder(), memory, reader=ReadCarried(), max_tokens=48)
    long_stream(session, 480)
    assert session.cursor.tokens == 480
    for layer in range(2):
        slots = session.slots(layer)
        real = slots.index >= 0
        assert int((480 - slots.positions[0])[real].max()) <= 44
    assert bool(session.question_logits([3, 1, 4]).isfinite().all())


@pytest.mark.parametrize(
    "memory", [StateKVMemory(16), ContiguousPositions(StateKVMemory(None), max_reach=40)], ids=repr
)
def test_without_a_bound_on_the_reach_it_may_not(memory) -> None:
    session = VideoSession(ReferenceDecoder(), memory, max_tokens=48)
    with pytest.raises(ValueError, match=r"would reach 52 tokens, but .* planned for 48"):
        long_stream(session, 480)
    assert session.cursor.tokens == 48


def test_a_reach_too_long_for_the_plan_is_refused_at_the_first_push() -> None:
    memory = ContiguousPositions(StateKVMemory(16), max_reach=45)
    session = VideoSession(ReferenceDecoder(), memory, max_tokens=48)
    with pytest.raises(ValueError, match="ContiguousPositions and a frame would reach 49 tokens"):
        long_stream(session, 4)


def test_more_slots_than_positions_are_refused() -> None:
    session = VideoSession(ReferenceDecoder(), ContiguousPositions(StateKVMemory(16), max_reach=10))
    with pytest.raises(
        ValueError, match=r"12 slots .* more than max_reach=10 positions; raise max"
    ):
        long_stream(session, 40)
    assert session.cursor.tokens == 8


def test_frames_that_stay_apart_under_mrope_are_refused_beyond_the_plan() -> None:
    # About one slot in each of many frames: 12 slots, but a grid's width between them.
    frames = stream(3, 60, batch=1)
    memory = ContiguousPositions(ReservoirMemory(12), max_reach=12)
    session = VideoSession(ReferenceDecoder(axes=3), memory, max_tokens=20)
    with pytest.raises(ValueError, match=r"a slot so far behind the next token .* more max_tokens"):
        session.push(frames)
    longer = VideoSession(ReferenceDecoder(axes=3), memory, max_tokens=60)
    longer.push(frames)
    assert longer.cursor.tokens > 180


@pytest.mark.parametrize(
    ("memory", "frame_tokens", "reach"),
    [
        (ContiguousPositions(StateKVMemory(9)), 5, 9),
        (ContiguousPositions(StateKVMemory(9), 30), 5, 30),
        (ContiguousPositions(SlidingWindowMemory(3)), 5, 15),
        (ContiguousPositions(IsolatedFramesMemory(), 30), 5, 30),
        (ContiguousPositions(FullMemory(), 30), 5, None),
        (ContiguousPositions(TokenDroppingMemory(StateKVMemory(9), ratio=0.5)), 5, 9),
    ],
    ids=repr,
)
def test_the_promised_reach(memory, frame_tokens, reach) -> None:
    assert memory.reach(frame_tokens) == reach


def test_a_memory_that_carries_nothing_has_nothing_to_move(open_session, frames) -> None:
    for max_reach in (None, 3):
        session = open_session(ContiguousPositions(IsolatedFramesMemory(), max_reach))
        session.push(frames(3, 2, 4))
        assert session.slots(0).num_slots == 0
